"""Bodies of the requests that write or try something, validated before anything is done with them."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...tools.errors import ArgumentError

MAX_TEXT = 4000
"""Characters of a text to try."""

_Body = TypeVar("_Body", bound=BaseModel)


class Strict(BaseModel):
    """A request's body; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Named(Strict):
    """A body that says who sends it."""

    name: str = Field(min_length=1, max_length=80, description="who says so")


class ReviewBody(Named):
    """A person's word on a target."""

    verdict: Literal["approve", "reject", "edit", "note", "undo"]
    text: str | None = Field(
        None, max_length=2000, description="with edit: the explanation as it should read"
    )
    predicate: str | None = Field(
        None, max_length=8000, description="with edit: its predicate, scored on select"
    )
    note: str | None = Field(None, max_length=8000)


class AgainBody(Named):
    """A note to the explainer, and settings that replace the run's; one that reads no notes needs them."""

    note: str = Field("", max_length=4000)
    max_contexts: int | None = Field(
        None, ge=1, le=100_000, description="contexts a split that are collected"
    )
    seed: int | None = Field(None, ge=0, le=2**31, description="another one draws other contexts")


class TryBody(Strict):
    """A text, and optionally another one to compare with."""

    text: str = Field(min_length=1, max_length=MAX_TEXT)
    other: str | None = Field(None, min_length=1, max_length=MAX_TEXT)


class CallBody(Strict):
    """An instrument call by hand, on the subject and the index of a run."""

    run: str = Field(max_length=200)
    arguments: dict[str, Any] = Field(default_factory=dict)


def parse(model: type[_Body], body: Any) -> _Body:
    """Validate a body.

    Raises:
        ArgumentError: it does not fit the model; the message lists what is wrong.
    """
    try:
        return model.model_validate(body)
    except ValidationError as error:
        messages = []
        for fault in error.errors(include_url=False):
            messages.append(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}")
        raise ArgumentError("; ".join(messages)[:1000]) from None
