"""What one target's explanation says, for the terminal: headline first, then its concepts by weight of
evidence, the tokens that it lists, what it does not cover, and the formula with its degrees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from ...tools.errors import HubelError
from ...tools.subject.address import Unit
from . import output

if TYPE_CHECKING:
    import duckdb

    from ..review.formula_parts import FormulaParts
    from ..runlog.views import TargetRow

EXAMPLES = 8
"""Listed tokens that are shown; the formula has them all."""


def show_explanation(folder: Path, db: duckdb.DuckDBPyConnection, row: TargetRow) -> None:
    """Write what the log says of a target before its scores.

    Args:
        db: the run's views (`runlog.views.connect`).
    """
    from ..review.formula_parts import formula_parts

    standing = " ".join(filter(None, (row["tier"], row["verdict"] or row["status"])))
    output.line(f"{row['target']}: {standing}")
    if row["headline"]:
        output.line(f"  {row['headline']}")
    output.line(f"  {row['explanation'] or row['error'] or row['reason'] or 'no explanation'}")
    if row["gist"]:
        output.line(f"  in the model's words: {row['gist']}")
    if row["explanation"] and row["reason"]:
        output.line(f"  {row['reason']}")
    if row["artefact"]:
        output.line(f"  artefact: {row['artefact']}")
    if parts := formula_parts(row["predicate"]):
        _show_parts(parts)
    for line in _misses(folder, db, row):
        output.line(f"  {line}")
    output.line(f"  predicate: {row['predicate']}")
    if parts:
        degrees = ", ".join(f"{word} {steps}" for word, steps in parts["degrees"].items())
        output.line(f"  degrees in steps: {degrees}; one step is {parts['step']:.3g} of activation")


def _show_parts(parts: FormulaParts) -> None:
    named = [term for term in parts["terms"] if term["named"]]
    if named:
        output.line("  concepts, those of the headline first:")
    for term in named:
        corrects = "but less on " if term["corrects"] else ""
        output.line(f"    {term['steps']:+3d}  {corrects}{term['concept']}")
    exact = [f"{t['concept']} {t['steps']:+d}" for t in parts["terms"] if not t["named"]]
    exact += [f"{_quoted(t['token'])} {t['steps']:+d}" for t in parts["listed"]]
    if exact:
        more = f" and {len(exact) - EXAMPLES} more" if len(exact) > EXAMPLES else ""
        also = "and some" if named else "some"
        output.line(f"  {also} tokens by name: {', '.join(exact[:EXAMPLES])}{more}")


def _misses(folder: Path, db: duckdb.DuckDBPyConnection, row: TargetRow) -> list[str]:
    """What the formula does not cover of the strongest exemplars, a line for each explained side."""
    from ..review.exemplars import exemplars
    from ..review.token_maps import collected_data

    query = "select data from events where event = 'observation' and target = ?"
    observation = db.execute(query, [row["target"]]).fetchone()
    if not observation or not row["predicate"]:
        return []
    try:
        data = collected_data(folder)
    except HubelError as error:
        return [f"what the formula does not cover is not known: {error}"]
    shown = exemplars(Unit.parse(row["target"]), row["predicate"], json.loads(observation[0]), data)
    lines = []
    for missed in shown["misses"]:
        is_all = missed["of"] == len(shown["exemplars"][missed["side"]])
        which = "strongest exemplars" if is_all else "exemplars whose text the run has collected"
        if missed["missed"]:
            count = f"{missed['missed']} of the {missed['of']} {which}, side {missed['side']}"
            lines.append(f"not covered: {count}: {', '.join(map(_quoted, missed['tokens']))}")
    return lines


def _quoted(token: str) -> str:
    return json.dumps(token, ensure_ascii=False)
