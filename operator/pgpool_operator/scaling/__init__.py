"""How many pods: signals of the pods, a table of policies, HPA's behaviour. Pure; poolers, never backends."""

from .cause import Cause, cause_of, prevailing
from .decision import Decision, Limit
from .leaving import least_missed
from .outlook import Outlook, Remembered, Said, look
from .settle import Settled
from .signals import History, PodLoad, Sample, crowded, sample
from .view import EndpointView, Reason, ServerView
from .words import explained, meaning

__all__ = [
    "Cause",
    "Decision",
    "EndpointView",
    "History",
    "Limit",
    "Outlook",
    "PodLoad",
    "Reason",
    "Remembered",
    "Said",
    "Sample",
    "ServerView",
    "Settled",
    "cause_of",
    "crowded",
    "explained",
    "least_missed",
    "look",
    "meaning",
    "prevailing",
    "sample",
]
