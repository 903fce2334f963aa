"""What a language model is shown, in few tokens: the unit's evidence, outcomes, scores and errors.

Text of the corpus is data, not instruction, so it is quoted between two fence lines. A fence is made
from a hash of what it encloses: no text can contain its own fence, and a repeated request has the
same words. Changing any wording here changes the requests, and with them what the journal finds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ....evals.judge.ask import fence_for
from ....tools.dissection import Predicate
from ....tools.instruments.rendering import mark_tokens, quote_text
from ..protocol import Experiment, ExploreFit, Feedback, Hypothesis, InvestigationView

BEFORE, AFTER = 12, 3
"""Tokens shown around an exemplar's peak. Triggers are at the peak or shortly before it."""
TOP, MIDDLING = 5, 3
"""Exemplars of each kind that are shown; an observation holds more."""
MAX_RESULT = 1600
"""Characters of an instrument's result; the model can ask for less at a time."""


def fence(text: str) -> str:
    """Text as data between two fence lines."""
    line = fence_for(text, "={}=", digits=10)
    return f"{line}\n{text}\n{line}"


def side_to_explain(view: InvestigationView) -> str:
    """What follows the unit's name when only one side is to be explained."""
    side = view.unit.side
    return "" if side == "both" else f", its side {side} only: what makes it fire on that side"


def statistics(view: InvestigationView) -> str:
    """Range and density, and what counts as firing and as silent on each side."""
    lines = []
    if range_ := view.observation.get("statistics"):
        lines.append(
            f"[r1] Over {range_['n']:,} tokens: {range_['min']:.3g} to {range_['max']:.3g}, "
            f"mean {range_['mean']:.3g}, "
            f"active (a tenth of its largest) on {range_['density']:.1%} of tokens."
        )
    for side, row in view.observation.get("thresholds", {}).items():
        what = "activation" if side == "+" else "minus activation"
        at_rest = row["q50"] == 0  # see `Thresholds`
        lines.append(
            f"Side {side}, {what}: median {row['q50']:.3g}, a tenth of all tokens above "
            f"{row['q90']:.3g}, 1 in 100 above {row['q99']:.3g}, 1 in 1000 above {row['q999']:.3g}, "
            f"largest {row['largest']:.3g}. fires means at least {row['fires']:.3g}, silent "
            f"{'means' if at_rest else 'below'} {row['q50']:.3g}."
        )
    return "\n".join(lines)


def evidence(view: InvestigationView) -> str:
    """Exemplars of both sides, and what the unit writes."""
    observation, parts = view.observation, []
    for number, side in ((2, "+"), (3, "-")):
        median = observation.get("thresholds", {}).get(side, {}).get("q50", 0.0)
        for kind, title, count in (
            ("exemplars", "strongest", TOP),
            ("middling", "middling", MIDDLING),
        ):
            exemplars = observation.get(f"{kind}{side}", {}).get("exemplars", ())
            if text := _exemplars(exemplars[:count], side, max(0.0, median)):
                parts.append(f"[r{number}] {title} on side {side}:\n{text}")
    if lens := observation.get("logit_lens"):
        promoted, suppressed = (
            ", ".join(f'"{quote_text(token)}"' for token in lens[kind]["tokens"][:8])
            for kind in ("promoted", "suppressed")
        )
        parts.append(
            f"[r4] next tokens that it makes likelier when positive: {promoted}\n"
            f"and less likely: {suppressed}"
        )
    return fence("\n".join(parts)) if parts else "There are no exemplars of this unit."


def _exemplars(exemplars: Sequence[Mapping[str, Any]], side: str, rest: float) -> str:
    """Passages with their peaks. Marks count from `rest`, which a unit that is always on exceeds."""
    sign = -1.0 if side == "-" else 1.0
    peaks = [exemplar["activations"][exemplar["peak"]] for exemplar in exemplars]
    strongest = max((sign * peak - rest for peak in peaks), default=0.0)
    lines = []
    for exemplar, peak in zip(exemplars, peaks, strict=True):
        window = slice(max(0, exemplar["peak"] - BEFORE), exemplar["peak"] + AFTER + 1)
        strengths = [max(0.0, sign * a - rest) for a in exemplar["activations"][window]]
        body = mark_tokens(exemplar["tokens"][window], strengths, strongest)
        lines.append(f"{peak:+.2f} | {body.strip()}")
    # The same words in several documents say nothing more.
    return "\n".join(dict.fromkeys(lines))


def note(text: str) -> str:
    """A person's remark on an earlier explanation: a hint that experiments have to confirm."""
    quoted = fence(quote_text(text))
    return (
        f"A person who has read an earlier explanation of U says:\n{quoted}\n"
        "Test it like any other idea."
    )


def competitor(hypothesis: Hypothesis | None, score: float | None) -> str:
    """The explanation to beat."""
    if hypothesis is None:
        return "No other explanation is known."
    explanation = (hypothesis.predicate or hypothesis.sentence).partition("; step ")[0]
    value = ""
    if score is not None:
        value = f" It scores {score:.2f} on text that you are not shown; do better."
    return f"A search without a language model found: {explanation}{value}"


def outcome(planned: Experiment, row: Mapping[str, Any]) -> str:
    """One experiment's outcome in a line, with what the unit did on the text."""
    seen = row.get("seen")
    if row["outcome"] == "void":
        why = seen or "nothing could be read there"
        return f"{planned.id} VOID {planned.hypothesis}: {why}; it counts neither for nor against"
    compared = row["compared"] if isinstance(row["compared"], list) else [row["compared"]]
    against = " to ".join(f"{value:.3g}" for value in compared)
    quantity = "" if planned.quantity == "max" else f"{planned.quantity} "
    line = (
        f"{planned.id} {row['outcome'].upper()} {planned.hypothesis}: "
        f"{planned.relation} on {planned.side} "
        f"({_COMPARISON[planned.relation]} {against}): {quantity}{row['observed']:+.3g}"
    )
    return f"{line}; {seen}" if seen else line


_COMPARISON = {
    "fires": "at least",
    "silent": "below",
    "greater": "more than",
    "within": "from",
    "raises": "above",
    "lowers": "below",
}


def tested_texts(earlier: Sequence[Experiment]) -> str:
    """Texts of earlier second looks without their outcomes, so that a new one need not repeat them."""
    texts = dict.fromkeys(f'"{quote_text(planned.passage.text)}"' for planned in earlier)
    if not texts:
        return ""
    return f"Texts that were tried on earlier claims; find others: {', '.join(texts)}"


def strongest_tokens(tokens: Sequence[str], values: Sequence[float], n: int = 2) -> str:
    """What the unit did on a text, strongest first: ``activations " Monday" +1.93, " on" -0.40``."""
    order = sorted(range(1, len(tokens)), key=lambda i: -abs(values[i]))[:n]  # without position 0
    if not order:
        return ""
    return "activations " + ", ".join(f'"{quote_text(tokens[i])}" {values[i]:+.3g}' for i in order)


def fits(hypotheses: Sequence[tuple[Hypothesis, ExploreFit | None]]) -> str:
    """Accepted hypotheses, how their predicates do on explore, and the errors of the best of them."""
    lines, best, best_score = [], None, float("-inf")
    for hypothesis, fit in hypotheses:
        if fit is None or fit.score is None:
            lines.append(
                f"{hypothesis.id}: taken, in words only; without a predicate it can hardly be scored"
            )
            continue
        formula = f": {_with_worth(hypothesis, fit)}" if fit.worth else ""
        lines.append(
            f"{hypothesis.id}: taken; correlation {fit.score:.3f} "
            f"on the corpus that you were shown{formula}"
        )
        if fit.score > best_score:
            best, best_score = (hypothesis, fit), fit.score
    if best is not None:
        hypothesis, fit = best
        errors = _errors(fit.worst)
        if fit.missed:
            tokens = (
                f'"{quote_text(m["token"])}" {m["missing"]:+.3g} x {m["count"]}' for m in fit.missed
            )
            errors.append(f"again and again, true less predicted: {', '.join(tokens)}")
        lines.append(f"What {hypothesis.id} misses most:\n{fence(chr(10).join(errors))}")
    return "\n".join(lines)


def _with_worth(hypothesis: Hypothesis, fit: ExploreFit) -> str:
    """The formula; after each term, what the correlation loses without it."""
    terms = Predicate.parse(hypothesis.predicate or "").terms
    return " ".join(
        f"{'+' if term.sign > 0 else '-'} {term.grade} {term.concept.to_text()} [{value:.2f}]"
        for term, value in zip(terms, fit.worth, strict=True)
    ).removeprefix("+ ")


def inherited(
    revision: Hypothesis, earlier: Sequence[str], outcomes: Mapping[str, Mapping[str, Any]]
) -> str:
    """Which of its parent's experiments a revision takes over, and which not."""
    kept = [outcomes[id]["outcome"] for id in revision.inherited]
    line = (
        f"{revision.id} inherits {len(kept)} of {len(earlier)} experiments of {revision.parent}: "
        f"{kept.count('for')} for {kept.count('against')} against"
    )
    dropped = ", ".join(id for id in earlier if id not in revision.inherited)
    return f"{line}; what these predicted does not follow from it: {dropped}" if dropped else line


def feedback(hypothesis: Hypothesis, row: Feedback) -> str:
    """How a hypothesis does on select, and its parts."""
    errors = fence("\n".join(_errors(row.worst)))
    return (
        f"{hypothesis.id} scores {row.score:.3f} on text that you were not shown"
        f"{_parts(row.parts)}. It misses\n{errors}"
    )


_PARTS = {
    "meaning": "named concepts alone",
    "headline": "first three of them",
    "coverage": "share of the 50 strongest tokens that these three hold at",
    "unseen": "on words that explore never shows",
    "list": "a bare list of 24 tokens",
}


def _parts(parts: Mapping[str, float | None]) -> str:
    """The scores of a formula's parts, each with what it is."""
    known = [
        f"{name} {parts[key]:.2f}" for key, name in _PARTS.items() if parts.get(key) is not None
    ]
    return f" ({'; '.join(known)})" if known else ""


def _errors(worst: Sequence[Mapping[str, Any]]) -> list[str]:
    """The three passages where prediction and truth differ most, in activations."""
    return [
        f'"{quote_text(row["token"])}" true {row["true"]:+.3g} predicted {row["predicted"]:+.3g}'
        f" | {quote_text(row['text'])}"
        for row in worst[:3]
    ]


def challenge(planned: Experiment, row: Mapping[str, Any]) -> str:
    """An experiment of a second look: its outcome, where it was read, and why it was made."""
    text, span = planned.passage.text, planned.passage.span
    where = f', read at "{quote_text(text[slice(*span)])}"' if span else ""
    why = f" ({planned.reason})" if planned.reason else ""
    return f"{outcome(planned, row)} | text{where}: {quote_text(text)}{why}"


def instrument_result(id: str, text: str) -> str:
    """An instrument's result under its id, cut to a size."""
    if len(text) > MAX_RESULT:
        text = text[:MAX_RESULT] + " ... (cut; ask for less at a time)"
    return f"[{id}]\n{fence(text)}"
