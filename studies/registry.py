"""The registry of studies: typed functions that ask a question about a subject.

    @study("probe", question="At which layers can a linear probe read a label?")
    def probe(study: StudyContext, data: str, seed: int = 0) -> StudyResult:
        "What a person or an explainer reads before calling it."

1. The first argument is a `StudyContext`. The others are the study's options: plain types, `Literal`,
   and `Annotated[..., Field(description=...)]`, checked by pydantic. They become options of
   `hubel study NAME`.
2. What needs a subject or a data set happens inside `study.measured`; the rest is pure.
3. The family is the folder that its file is in.

A new study is a new file in a family's folder, with no edit elsewhere. Its known answer and its null
are a file in `bench/studies/checks`.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ..tools.errors import ArgumentError, UsageError
from ..tools.instruments.arguments_model import arguments_model, faults_of

if TYPE_CHECKING:
    from pydantic import BaseModel

    from .result import StudyResult
    from .study_context import StudyContext

FAMILIES = ("representation", "behaviour", "audits", "training")


@dataclass(frozen=True)
class Study:
    """A registered study.

    Attributes:
        subjects: how many it needs; -1 for two or more.
        arguments: the model of its options.
        small: takes seconds on the default subject, so that it can be called as an instrument.
    """

    name: str
    question: str
    function: Callable[..., StudyResult]
    arguments: type[BaseModel]
    subjects: int = 1
    small: bool = False

    @property
    def family(self) -> str:
        """The folder that its file is in."""
        return self.function.__module__.split(".")[-2]

    @property
    def description(self) -> str:
        """The docstring."""
        return inspect.cleandoc(self.function.__doc__ or "")

    def checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """All options with their values; raises ArgumentError for one that does not fit."""
        try:
            model = self.arguments.model_validate(dict(options))
        except ValidationError as error:
            raise ArgumentError(f"{self.name}: {faults_of(error)}") from error
        return {name: getattr(model, name) for name in self.arguments.model_fields}

    def __call__(self, context: StudyContext, options: Mapping[str, Any]) -> StudyResult:
        return self.function(context, **self.checked(options))


_REGISTRY: dict[str, Study] = {}


def study(
    name: str, *, question: str, subjects: int = 1, small: bool = False
) -> Callable[[Callable[..., StudyResult]], Callable[..., StudyResult]]:
    """Register a study; raises UsageError for a name that is taken.

    Args:
        subjects: how many it needs; -1 for two or more.
        small: whether it takes seconds on the default subject.
    """

    def register(function: Callable[..., StudyResult]) -> Callable[..., StudyResult]:
        if name in _REGISTRY:
            module = _REGISTRY[name].function.__module__
            raise UsageError(f"the study {name!r} is registered already, by {module}")
        arguments = arguments_model(name, function)
        _REGISTRY[name] = Study(name, question, function, arguments, subjects, small)
        return function

    return register


def studies() -> Mapping[str, Study]:
    """All studies by name, in the order of their families and names."""
    _load()
    ordered = sorted(_REGISTRY.values(), key=lambda s: (FAMILIES.index(s.family), s.name))
    return {study.name: study for study in ordered}


def find_study(name: str) -> Study:
    """One study; raises UsageError for an unknown name and lists the known ones."""
    registered = studies()
    if name not in registered:
        raise UsageError(f"no study is called {name!r}; there are {', '.join(registered)}")
    return registered[name]


@cache
def _load() -> None:
    """Import every file of the families once, so that its study is registered."""
    room = __name__.rpartition(".")[0]
    for family in FAMILIES:
        package = import_module(f"{room}.{family}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            import_module(module.name)
