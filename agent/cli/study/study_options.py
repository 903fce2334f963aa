"""Options of a study on the command line, from the model of its arguments."""

from __future__ import annotations

import argparse
import types
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from ....studies import Study

PREFIX = "study option "
"""Keeps a study's options apart from the common ones in the parsed arguments."""


def add_options(parser: argparse.ArgumentParser, study: Study) -> None:
    """One option for each argument; what is not given keeps the study's default."""
    group = parser.add_argument_group(f"options of {study.name}")
    for name, field in study.arguments.model_fields.items():
        group.add_argument(
            f"--{name.replace('_', '-')}",
            dest=PREFIX + name,
            default=argparse.SUPPRESS,
            help=_help(field),
            **_shape(name, field),
        )


def given(args: argparse.Namespace, study: Study) -> dict[str, Any]:
    """The options that were given; the study's model turns texts into numbers and checks them."""
    values = vars(args)
    names = study.arguments.model_fields
    return {name: values[PREFIX + name] for name in names if PREFIX + name in values}


def _help(field: FieldInfo) -> str:
    described = field.description or ""
    if field.is_required():
        return f"{described} (required)".strip()
    return f"{described} (default: {field.default!r})".strip().replace("%", "%%")


def _shape(name: str, field: FieldInfo) -> dict[str, Any]:
    """How many words an option takes, and which."""
    kind = _without_none(field.annotation)
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction}
    shape: dict[str, Any] = {"required": field.is_required()}
    if get_origin(kind) in (list, tuple):
        return {**shape, "nargs": "+", "metavar": name.upper()}
    if get_origin(kind) is Literal:
        return {**shape, "choices": [str(choice) for choice in get_args(kind)]}
    return {**shape, "metavar": name.upper()}


def _without_none(annotation: Any) -> Any:
    """``int`` of ``int | None``."""
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
    return kinds[0] if len(kinds) == 1 else annotation
