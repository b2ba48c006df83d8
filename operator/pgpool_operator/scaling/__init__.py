"""How many pods: signals of the pods, a table of policies, HPA's behaviour. Pure; poolers, never backends."""

from .behavior import Memory
from .cause import Cause, cause_of, prevailing
from .decision import Decision, Limit, decide
from .saturation import saturation
from .signals import History, PodLoad, Sample, sample
from .view import EndpointView, Reason
from .words import decision_numbers, meaning, saturation_numbers

__all__ = [
    "Cause",
    "Decision",
    "EndpointView",
    "History",
    "Limit",
    "Memory",
    "PodLoad",
    "Reason",
    "Sample",
    "cause_of",
    "decide",
    "decision_numbers",
    "meaning",
    "prevailing",
    "sample",
    "saturation",
    "saturation_numbers",
]
