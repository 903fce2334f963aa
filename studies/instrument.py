"""The instrument `study`: small studies, for explainers, MCP clients and `hubel tool`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from pydantic import Field

from ..tools.errors import ArgumentError
from ..tools.instruments.registry import InstrumentContext, Result, instrument
from .registry import Study, find_study, studies
from .study_context import StudyContext

SHOWN_ROWS = 12


@dataclass(frozen=True)
class StudyAnswer(Result):
    """What a study found, or which studies there are."""

    study: str
    claims: list[dict[str, Any]]
    rows: list[dict[str, Any]]

    def render(self) -> str:
        lines = [f"{self.study}:"]
        lines += [_claim_line(claim) for claim in self.claims]
        for row in self.rows[:SHOWN_ROWS]:
            cells = (f"{name} {_short(value)}" for name, value in row.items())
            lines.append("  " + ", ".join(cells))
        if len(self.rows) > SHOWN_ROWS:
            lines.append(f"  and {len(self.rows) - SHOWN_ROWS} more rows")
        return "\n".join(lines)


@instrument("study", needs=("subject",))
def run_study(
    context: InstrumentContext,
    name: Annotated[str, Field(description="of a study; empty: which there are")] = "",
    options: Annotated[
        dict[str, Any], Field(description="the study's own options; those left out have defaults")
    ] = {},  # noqa: B006 - pydantic copies it
) -> StudyAnswer:
    """Ask a question about the whole subject, answered with a verdict against a control.

    A study says of each of its claims whether it is supported, refuted or cannot be decided. Only
    studies that take seconds can be called here; `hubel study` runs all of them.
    """
    small = {one.name: one for one in studies().values() if one.small}
    if not name:
        rows = [
            {"study": n, "question": one.question, "options": _usage(one)}
            for n, one in small.items()
        ]
        return StudyAnswer("studies", [], rows)
    chosen = find_study(name)
    if name not in small:
        raise ArgumentError(
            f"the study {name!r} takes too long for a call, or needs several subjects: run "
            f"`hubel study {name}`; here there are {', '.join(small)}"
        )
    result = chosen(StudyContext([context.require_subject()]), options)
    return StudyAnswer(
        name, [asdict(claim) for claim in result.claims], list(map(dict, result.rows))
    )


def _usage(study: Study) -> str:
    """``corpus='lee-news', documents=60``"""
    fields: Mapping[str, Any] = study.arguments.model_fields
    return ", ".join(
        name if field.is_required() else f"{name}={field.default!r}"
        for name, field in fields.items()
    )


def _claim_line(claim: Mapping[str, Any]) -> str:
    parts: Sequence[str] = [
        f"{name} {_short(claim[name])}"
        for name in ("value", "low", "high", "control", "n")
        if claim[name] is not None
    ]
    return f"  {claim['verdict']}: {claim['claim']} ({', '.join(parts)})"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
