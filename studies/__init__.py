"""Studies: questions about a subject's representations and behaviour, each with a verdict.

A study is one typed function in one file. It measures a subject, and everything after the
measurements is pure, so that a run of it resumes and replays. `registry` says how one is written.
"""

from .figures import BarChart, Figure, HeatMap, LinePlot, PlottedLine, ScatterPlot
from .measurements import Measurements
from .registry import Study, find_study, studies, study
from .result import StudyClaim, StudyResult, Verdict
from .study_context import StudyContext
from .verdicts import above, below, cannot_say, within

__all__ = [
    "BarChart",
    "Figure",
    "HeatMap",
    "LinePlot",
    "Measurements",
    "PlottedLine",
    "ScatterPlot",
    "Study",
    "StudyClaim",
    "StudyContext",
    "StudyResult",
    "Verdict",
    "above",
    "below",
    "cannot_say",
    "find_study",
    "studies",
    "study",
    "within",
]
