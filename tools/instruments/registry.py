"""The registry of instruments: typed functions that an explainer, a person or a program can call.

    @instrument("logit_lens", needs=("subject",))
    def logit_lens(context: InstrumentContext, unit: UnitAddress, k: ... = 10) -> LogitLens:
        "What an explainer reads before it decides to call this."

1. The JSON schema of the arguments comes from the signature, through pydantic. The docstring is the
   description.
2. `call` checks arguments against the schema. Wrong ones raise an ArgumentError, which goes back to
   the caller.
3. The result is a frozen dataclass: `to_json` for programs and the journal, `render` for an
   explainer.

A new instrument is a new file in this folder, with no edit elsewhere. An instrument gets an
`InstrumentContext`, which has a subject and an index; neither leads to held-out text.
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
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import BaseModel, Field, ValidationError

from ..errors import ArgumentError, UnavailableError, UsageError
from ..files.jsonable import jsonable
from ..instrument_modules import MODULES
from .argument_checks import check_numbers, check_result, plain_arguments
from .arguments_model import arguments_model, faults_of

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
    """What an instrument works on. `subject` may be a function that loads it on first use."""

    subject: Subject | Callable[[], Subject] | None = None
    index: Index | None = None

    def require_subject(self) -> Subject:
        """The loaded subject; raises UnavailableError when the context has none."""
        if self.subject is None:
            raise UnavailableError(
                "this instrument runs the subject, and there is none here: "
                "name one with --subject or --index"
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
    """What an instrument returns; subclasses are frozen dataclasses of plain values."""

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
        """JSON schema of the arguments for tool calling; a copy that the caller may change."""
        return deepcopy(_schema(self.arguments))

    def __call__(self, context: InstrumentContext, arguments: Mapping[str, Any]) -> Result:
        plain = plain_arguments(self.name, arguments)
        check_numbers(self.name, _schema(self.arguments), plain)
        try:
            checked = self.arguments.model_validate(plain)
        except ValidationError as error:
            raise ArgumentError(
                f"{self.name}: {faults_of(error)}. Arguments: {self.usage()}"
            ) from error
        try:
            result = self.function(
                context, **{name: getattr(checked, name) for name in self.arguments.model_fields}
            )
        except UsageError as error:  # such as a unit out of range: the caller can repair that
            raise ArgumentError(f"{self.name}: {error}") from error
        check_result(self.name, result.to_json())
        return result

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
    """Register a function ``(context, **arguments) -> Result``; raises UsageError for a taken name."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        if name in _REGISTRY:
            module = _REGISTRY[name].function.__module__
            raise UsageError(f"instrument {name!r} is registered already, by {module}")
        _REGISTRY[name] = Instrument(name, function, arguments_model(name, function), needs)
        return function

    return register


def instruments() -> Mapping[str, Instrument]:
    """All instruments by name, in alphabetical order."""
    _load()
    return dict(sorted(_REGISTRY.items()))


def get(name: str) -> Instrument:
    """One instrument; raises ArgumentError for an unknown name and lists the known ones."""
    registered = instruments()
    if name not in registered:
        raise ArgumentError(f"no instrument is called {name!r}; there are {', '.join(registered)}")
    return registered[name]


def call(name: str, arguments: Mapping[str, Any], context: InstrumentContext) -> Result:
    """Call an instrument by name with JSON arguments.

    Raises:
        ArgumentError: the name or the arguments are wrong; the message says what to give instead.
        UnavailableError: the context has no subject or no index, and the instrument needs it.
    """
    return get(name)(context, arguments)


@cache
def _load() -> None:
    """Import every module of this room once, so that its instruments are registered, and others' ones."""
    package = import_module(__name__.rpartition(".")[0])
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        import_module(module.name)
    for name in MODULES:
        import_module(name)


def _without_titles(schema: Any) -> Any:
    """pydantic's titles repeat the field names; they cost an explainer tokens and say nothing."""
    if isinstance(schema, list):
        return [_without_titles(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    # A dict under "title" is an argument of that name.
    kept = {k: v for k, v in schema.items() if not (k == "title" and isinstance(v, str))}
    return {key: _without_titles(value) for key, value in kept.items()}


def rounded(values: Iterable[float], digits: int = 6) -> list[float]:
    """Floats with `digits` significant digits, so that a log holds no noise."""
    return [float(f"{float(value):.{digits}g}") for value in values]
