"""An older turn in a few lines: what was proposed, tested and looked up, and what came of it.

Every id stays, because findings cite it; of each call, what a researcher would note.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ....tools.instruments.rendering import quote_text
from .prompt_text import fence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..protocol import Experiment, ExploreFit, Hypothesis, InvestigationView
    from .parse_reply import ParsedToolCall
    from .state import InvestigationState

TITLE = "An earlier turn, shortened:"
HEAD, AGAINST = 160, 60
"""Characters of an instrument's result that are kept, and of a text that went against a hypothesis."""


def shorten_turn(
    calls: Sequence[ParsedToolCall],
    state: InvestigationState,
    evidence: Mapping[str, str],
    view: InvestigationView,
) -> str:
    """The calls of one reply and what came of them; "" if nothing did.

    Args:
        evidence: instruments' results by id.
    """
    lines, results = list[str](), list[str]()
    for call in calls:
        if call.hypotheses:
            lines += _proposed([(h, _fit(h, state)) for h in call.hypotheses])
        if call.experiments:
            lines += _tested(call.experiments, state)
        if call.instrument:
            results.append(_looked_up(call, evidence))
        if call.favourite:
            lines += _concluded(call.favourite, state, view)
    if results:
        lines.append(fence("\n".join(results)))
    return "\n".join([TITLE, *lines]) if lines else ""


def _fit(hypothesis: Hypothesis, state: InvestigationState) -> ExploreFit | None:
    return state.fit(hypothesis.predicate) if hypothesis.predicate else None


def _proposed(hypotheses: Sequence[tuple[Hypothesis, ExploreFit | None]]) -> Iterator[str]:
    """Each hypothesis with its correlation; the best one's formula too."""
    best = max((fit.score or 0.0 for _, fit in hypotheses if fit), default=0.0)
    for hypothesis, fit in hypotheses:
        line = hypothesis.id + (f" (revises {hypothesis.parent})" if hypothesis.parent else "")
        if fit is not None and fit.score is not None:
            line += f", r {fit.score:.2f}"
        line += f": {hypothesis.words}"
        if fit is not None and fit.score == best:
            line += f" = {formula(hypothesis)}"
        yield line


def formula(hypothesis: Hypothesis) -> str:
    """A hypothesis' formula without its scale, which nobody needs to write."""
    return (hypothesis.predicate or "").partition("; step")[0]


def _tested(experiments: Sequence[Experiment], state: InvestigationState) -> Iterator[str]:
    """A line for each hypothesis and outcome; texts only of what went against it."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for planned in experiments:
        outcome = state.outcomes.get(planned.id)
        if outcome is None or outcome["outcome"] == "void":
            groups[planned.hypothesis, "void"].append(planned.id)
            continue
        text, span = planned.passage.text, planned.passage.span
        shown = f'{planned.id} {planned.relation}{planned.side} "{_focus(planned)}"'
        shown += f" {outcome['observed']:+.3g}"
        if outcome["outcome"] == "against" and span is not None:
            end = span[1]
            shown += f' in "{quote_text(text[max(0, end - AGAINST) : end])}"'
        groups[planned.hypothesis, outcome["outcome"]].append(shown)
    for (hypothesis, outcome), shown in groups.items():
        yield f"{outcome} {hypothesis}: {', '.join(shown)}"


def _focus(planned: Experiment) -> str:
    text, span = planned.passage.text, planned.passage.span
    return quote_text(text[slice(*span)] if span else text[-AGAINST:])


def _looked_up(call: ParsedToolCall, evidence: Mapping[str, str]) -> str:
    assert call.instrument is not None
    asked = ", ".join(_argument(value) for value in call.instrument.arguments.values())
    result = " ".join(evidence.get(call.result, "").split())
    end = " ..." if len(result) > HEAD else ""
    return f"[{call.result}] {call.instrument.instrument}({asked[:80]}): {result[:HEAD]}{end}"


def _argument(value: Any) -> str:
    return quote_text(", ".join(map(str, value)) if isinstance(value, list) else str(value))


def _concluded(id: str, state: InvestigationState, view: InvestigationView) -> Iterator[str]:
    """What the second look and select said of a favourite."""
    kept, failed = state.tally(id)
    line = f"You concluded with {id}: {kept} for {failed} against with the second look"
    if feedback := view.feedback.get(id):
        line += f"; {feedback.score:.3f} on text that you were not shown"
    yield line
    challenges = [e for e in state.experiments.values() if e.id in state.challenges]
    yield from _tested([e for e in challenges if e.hypothesis == id], state)
