"""Instruments: what an explainer, a person or a program can do to a subject, each a typed function
registered once.

    @instrument("logit_lens", needs=("subject",))
    def logit_lens(context: InstrumentContext, unit: UnitAddress, k: ... = 10) -> LogitLens:
        "What an explainer reads before it decides to call this."

1. The JSON schema of the arguments comes from the signature, through pydantic; the docstring is the
   description.
2. `call` checks arguments against it. What is wrong with them is an ArgumentError, which goes back
   to whoever asked.
3. The answer is a frozen dataclass: `to_json` for programs and the journal, `render` for an
   explainer.

A new instrument is a new file in `tools/` and no edit elsewhere. An instrument is given an `InstrumentContext`,
a subject and an index, and nothing else; held-out text can be reached from neither.
"""

from __future__ import annotations

import inspect
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from ..errors import ArgumentError, UnavailableError, UsageError
from ..files.jsonable import jsonable

if TYPE_CHECKING:
    from ..index import Index
    from ..subject import Subject

Need = Literal["subject", "index"]
UnitAddress = Annotated[
    str, Field(description="address of a unit, e.g. mlp.12.803, mlp.12.803- or head.5.3")
]
Text = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True)
class InstrumentContext:
    """What an instrument works on. `subject` may be a function that loads it when it is first needed."""

    subject: Subject | Callable[[], Subject] | None = None
    index: Index | None = None

    def require_subject(self) -> Subject:
        """The loaded subject; raises UnavailableError when the context has none."""
        if self.subject is None:
            raise UnavailableError(
                "this instrument runs the subject, and there is none here: name one with --subject or --index"
            )
        return cast("Subject", self.subject() if callable(self.subject) else self.subject)

    def require_index(self) -> Index:
        """The index; raises UnavailableError when the context has none."""
        if self.index is None:
            raise UnavailableError(
                "this instrument reads an index, and there is none here: name one with --index"
            )
        return self.index


class Result(ABC):
    """What an instrument answers; subclasses are frozen dataclasses of plain values."""

    @abstractmethod
    def render(self) -> str:
        """A short text for an explainer."""

    def to_json(self) -> dict[str, Any]:
        """All of it, as plain JSON values."""
        return jsonable(self)


@cache
def _schema(arguments: type[BaseModel]) -> dict[str, Any]:
    return _without_titles(arguments.model_json_schema())


@dataclass(frozen=True)
class Instrument:
    """A registered instrument."""

    name: str
    function: Callable[..., Result]
    arguments: type[BaseModel]
    needs: tuple[Need, ...]

    @property
    def description(self) -> str:
        """The docstring: what an explainer reads."""
        return inspect.cleandoc(self.function.__doc__ or "")

    @property
    def summary(self) -> str:
        """The docstring's first line."""
        return self.description.split("\n", 1)[0]

    def schema(self) -> dict[str, Any]:
        """JSON schema of the arguments, as tool-calling interfaces take it; the caller's own, to change at will."""
        return deepcopy(_schema(self.arguments))

    def __call__(self, context: InstrumentContext, arguments: Mapping[str, Any]) -> Result:
        try:
            checked = self.arguments.model_validate(dict(arguments))
        except ValidationError as error:
            raise ArgumentError(self._repair(error)) from error
        try:
            return self.function(
                context, **{name: getattr(checked, name) for name in type(checked).model_fields}
            )
        except UsageError as error:  # a unit out of range and the like: the caller can repair that
            raise ArgumentError(f"{self.name}: {error}") from error

    def _repair(self, error: ValidationError) -> str:
        faults = "; ".join(_fault(fault) for fault in error.errors(include_url=False))
        return f"{self.name}: {faults}. Arguments: {self.usage()}"

    def usage(self) -> str:
        """The arguments in one line: ``unit, k=8``."""
        fields = self.arguments.model_fields.items()
        return ", ".join(
            name if field.is_required() else f"{name}={field.default!r}" for name, field in fields
        )


_REGISTRY: dict[str, Instrument] = {}


def instrument(
    name: str, *, needs: tuple[Need, ...]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function ``(context, **arguments) -> Result`` under a name; raises UsageError when it is taken."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        if name in _REGISTRY:
            raise UsageError(
                f"instrument {name!r} is registered already, by {_REGISTRY[name].function.__module__}"
            )
        _REGISTRY[name] = Instrument(name, function, _arguments(name, function), needs)
        return function

    return register


def instruments() -> Mapping[str, Instrument]:
    """All instruments by name, in alphabetical order."""
    _load()
    return dict(sorted(_REGISTRY.items()))


def get(name: str) -> Instrument:
    """One instrument; raises ArgumentError for an unknown name and lists the known ones."""
    known = instruments()
    if name not in known:
        raise ArgumentError(f"no instrument is called {name!r}; there are {', '.join(known)}")
    return known[name]


def call(name: str, arguments: Mapping[str, Any], context: InstrumentContext) -> Result:
    """Call an instrument by name with JSON arguments.

    Raises:
        ArgumentError: the name or the arguments are off, with what to give instead.
        UnavailableError: the context lacks the subject or the index that it needs.
    """
    return get(name)(context, arguments)


@cache
def _load() -> None:
    """Import every module of this room once, so that its instruments are registered."""
    package = import_module(__name__.rpartition(".")[0])
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        import_module(module.name)


def _arguments(name: str, function: Callable[..., Any]) -> type[BaseModel]:
    hints = get_type_hints(function, include_extras=True)
    parameters = list(inspect.signature(function).parameters.values())[
        1:
    ]  # the first is the context
    fields: dict[str, Any] = {
        p.name: (hints[p.name], ... if p.default is p.empty else p.default) for p in parameters
    }
    config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)
    return create_model(name, __config__=config, **fields)


def _fault(fault: Mapping[str, Any]) -> str:
    where = ".".join(map(str, fault["loc"])) or "arguments"
    given = "" if fault["type"] == "missing" else f" (given {_short(fault['input'])})"
    return f"{where}: {fault['msg']}{given}"


def _short(value: object, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _without_titles(schema: Any) -> Any:
    """pydantic's titles repeat the field names; they cost an explainer tokens and say nothing."""
    if isinstance(schema, dict):
        return {
            k: _without_titles(v)
            for k, v in schema.items()
            if not (k == "title" and isinstance(v, str))
        }
    return [_without_titles(item) for item in schema] if isinstance(schema, list) else schema


def rounded(values: Iterable[float], digits: int = 6) -> list[float]:
    """Numbers for a result: Python floats of `digits` significant digits, so that a log holds no noise."""
    return [float(f"{float(value):.{digits}g}") for value in values]
