"""The second opinion on an imported set, in the terminal and as the last lines of JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from . import output

if TYPE_CHECKING:
    from ..rescoring.plan import Evaluation
    from ..rescoring.second_opinion import Opinion, SecondOpinion

LONGEST = 100
"""Characters of an explanation in the list of the worst; the table above it has the whole."""
SHOWN_LEAKS = 10
"""Explanations that are listed as leaking."""


def opinion_summaries(evaluations: Sequence[Evaluation]) -> Iterator[dict[str, Any]]:
    """A line for each imported set."""
    from ..rescoring.second_opinion import second_opinion

    for evaluation in evaluations:
        if evaluation.source.imported is not None:
            opinion = second_opinion(evaluation.rows, evaluation.source.layer_of)
            summary = opinion.summary()
            yield {"source": evaluation.source.name, "summary": summary}


def show_unscored_words(evaluation: Evaluation) -> None:
    """Say first how many explanations cannot be scored, because nobody is there to read them."""
    source, plan = evaluation.source, evaluation.plan
    if source.imported is None:
        return
    words = sum(explanation.predicate is None for explanation in source.explanations)
    reads = plan.judge.name != "predicate" or plan.simulator.name
    if words and not reads:
        output.line(
            f"{words} of {len(source.explanations)} explanations are words that no formula represents"
            ", and nobody reads them: give --judge or --simulator openai:MODEL (or anthropic:MODEL)"
        )


def show_opinion(evaluation: Evaluation) -> None:
    """Leaks, layers, the worst, the null, and how many survive."""
    from ..rescoring.second_opinion import second_opinion

    imported = evaluation.source.imported
    if imported is None:
        return
    opinion = second_opinion(evaluation.rows, evaluation.source.layer_of)
    output.line(f"second opinion on {imported.name} ({imported.origin.format})")
    for line in imported.missing:
        output.line(f"  missing from its files: {line}")
    _show_leaks(opinion)
    _show_layers(opinion)
    _show_worst(opinion)
    _show_best(opinion)
    null, total = opinion.null_survivors, opinion.null_total
    if total:
        output.line(
            f"null: of {total} formulas dealt to other units of their layers {null} survive"
        )
    output.line(f"{opinion.survivors} of {len(opinion.opinions)} survive")


def _show_leaks(opinion: SecondOpinion) -> None:
    """Which test contexts the files show, and how many explanations show nothing."""
    silent = sum(not each.row.leaks or not each.row.leaks.texts for each in opinion.opinions)
    if silent:
        output.line(
            f"  {silent} of {len(opinion.opinions)} explanations show no text: leaks unknown"
        )
    leaking = opinion.leaking()
    if not leaking:
        if silent < len(opinion.opinions):
            output.line("  no test context was in an explanation's own prompt or exemplars")
        return
    rows = [
        (each.row.explanation.target, len(leaks.in_prompt), len(leaks.among_shown), leaks.texts)
        for each in leaking[:SHOWN_LEAKS]
        if (leaks := each.row.leaks)
    ]
    columns = ("target", "in its prompt", "among its exemplars", "of texts shown")
    title = f"test contexts that {len(leaking)} explanations had seen (left out of their scores)"
    output.table(columns, rows, title=title, right=columns[1:])


def _show_layers(opinion: SecondOpinion) -> None:
    rows = [(layer, kept, total) for layer, (kept, total) in opinion.by_layer().items()]
    output.table(("layer", "survive", "of"), rows, right=("survive", "of"))


def _show_best(opinion: SecondOpinion) -> None:
    """The best explanation of each unit that has several, and for how many units one survives."""
    best = opinion.best_of_several()
    if not best:
        return
    rows = [_opinion_row(each) for each in best.values()]
    columns = ("target", "r", "verdict", "why", "explanation")
    output.table(columns, rows, title="best of several explanations of a unit", right=("r",))
    kept, total = opinion.units()
    output.line(f"of {output.count(total, 'unit')} {kept} have an explanation that survives")


def _show_worst(opinion: SecondOpinion) -> None:
    rows = [_opinion_row(each) for each in opinion.worst()]
    if rows:
        columns = ("target", "r", "verdict", "why", "explanation")
        output.table(columns, rows, title="worst", right=("r",))


def _opinion_row(opinion: Opinion) -> tuple[object, ...]:
    value = opinion.result.value
    return (
        opinion.row.explanation.target,
        None if value is None else f"{value:.2f}",
        opinion.verdict.verdict,
        opinion.verdict.reason,
        shorten(opinion.row.explanation.words, LONGEST, placeholder=" …"),
    )
