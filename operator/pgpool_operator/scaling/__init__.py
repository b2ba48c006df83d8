"""How many pods: signals of the pods, a table of policies, HPA's behaviour. Pure; poolers, never backends."""

from .behavior import Memory
from .cause import Cause, cause_of, prevailing
from .decision import Decision, Limit, decide
from .leaving import least_missed
from .outlook import Outlook, Said
from .saturation import saturation
from .settle import Settled, saying, settle
from .signals import History, PodLoad, Sample, sample
from .view import EndpointView, Reason
from .words import explained, meaning

__all__ = [
    "Cause",
    "Decision",
    "EndpointView",
    "History",
    "Limit",
    "Memory",
    "Outlook",
    "PodLoad",
    "Reason",
    "Said",
    "Sample",
    "Settled",
    "cause_of",
    "decide",
    "explained",
    "least_missed",
    "meaning",
    "prevailing",
    "sample",
    "saturation",
    "saying",
    "settle",
]
