"""What an experimenter is shown, in few tokens: the unit's evidence, outcomes of experiments,
scores.

Text of the corpus is quoted between two lines that are made from a hash of what stands between
them: no text can hold its own fence, each block has another, and a request repeated has the same
words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ....tools.instruments.rendering import mark_token, quote_text
from ..protocol import Experiment, ExploreFit, Feedback, Hypothesis, InvestigationView

BEFORE, AFTER = 12, 3
"""Tokens around an exemplar's peak. Triggers stand at it or shortly before; more can be had by the instrument."""
TOP, MIDDLING = 5, 3
MOST_ANSWER = 3000
"""Characters of an instrument's answer; what is cut off can be asked for with a smaller k or fewer texts."""


def fence(text: str) -> str:
    """Text as data, between two fence lines; shorter ones than a judge's (`evals.judge.ask`), since there are many."""
    fence, turn = "", 0
    while not fence or fence in text:
        fence = (
            f"={hashlib.sha256(f'{turn}{text}'.encode('utf-8', 'surrogatepass')).hexdigest()[:10]}="
        )
        turn += 1
    return f"{fence}\n{text}\n{fence}"


def side_to_explain(view: InvestigationView) -> str:
    """Behind the unit's name: which side is asked for."""
    return (
        ""
        if view.unit.side == "both"
        else f", its side {view.unit.side} only: what makes it fire on that side"
    )


def statistics(view: InvestigationView) -> str:
    """Range and density, and what counts as firing and as silent on each side."""
    seen = view.observation
    lines = []
    if known := seen.get("statistics"):
        lines.append(
            f"[r1] Over {known['n']:,} tokens: {known['min']:.3g} to {known['max']:.3g}, mean {known['mean']:.3g}, "
            f"active (a tenth of its largest) on {known['density']:.1%} of tokens."
        )
    for side, (q50, q90) in seen.get("thresholds", {}).items():
        what = "activation" if side == "+" else "minus activation"
        lines.append(
            f"Side {side}: fires means {what} at least {q90:.3g}, silent means below {q50:.3g}."
        )
    return "\n".join(lines)


def evidence(view: InvestigationView) -> str:
    """Exemplars of both sides, and what the unit writes."""
    seen, parts = view.observation, []
    for number, side in ((2, "+"), (3, "-")):
        for kind, title, count in (
            ("exemplars", "strongest", TOP),
            ("middling", "middling", MIDDLING),
        ):
            found = seen.get(f"{kind}{side}", {}).get("exemplars", ())
            rest = max(0.0, seen.get("thresholds", {}).get(side, (0.0,))[0])
            if shown := _exemplars(found[:count], side, rest):
                parts.append(f"[r{number}] {title} on side {side}:\n{shown}")
    if lens := seen.get("logit_lens"):
        up, down = (
            ", ".join(f'"{quote_text(t)}"' for t in lens[k]["tokens"][:8])
            for k in ("promoted", "suppressed")
        )
        parts.append(
            f"[r4] next tokens that it makes likelier when positive: {up}\nand less likely: {down}"
        )
    return fence("\n".join(parts)) if parts else "There are no exemplars of this unit."


def _exemplars(found: Iterable[Mapping[str, Any]], side: str, rest: float) -> str:
    """Passages with their peaks; marks count from `rest`, above which a unit that is always on is half of the time."""
    sign = -1.0 if side == "-" else 1.0
    passages = list(found)
    strongest = max((sign * p["activations"][p["peak"]] - rest for p in passages), default=0.0)
    lines: dict[
        str, None
    ] = {}  # the same words may stand in several documents, which tells nothing more
    for passage in passages:
        shown = slice(max(0, passage["peak"] - BEFORE), passage["peak"] + AFTER + 1)
        tokens = zip(passage["tokens"][shown], passage["activations"][shown], strict=True)
        body = "".join(
            mark_token(token, max(0.0, sign * activation - rest), strongest)
            for token, activation in tokens
        )
        lines[f"{passage['activations'][passage['peak']]:+.2f} | {body.strip()}"] = None
    return "\n".join(lines)


def note(text: str) -> str:
    """What a person says who has read an earlier explanation: a hint, that experiments have to bear out."""
    said = fence(quote_text(text))
    return f"A person who has read an earlier explanation of U says:\n{said}\nTest it like any other idea."


def competitor(found: Hypothesis | None, score: float | None) -> str:
    """The explanation to beat."""
    if found is None:
        return "No other explanation is known."
    value = (
        ""
        if score is None
        else f" It scores {score:.2f} on text that you are not shown; do better."
    )
    return f"A search without a language model found: {found.predicate or found.sentence}{value}"


def outcome(planned: Experiment, found: Mapping[str, Any]) -> str:
    """One experiment's outcome in a line, with what the unit did on the text."""
    if found["outcome"] == "void":
        why = found.get("seen") or "nothing could be read there"
        return f"{planned.id} VOID {planned.hypothesis}: {why}; it counts neither for nor against"
    value, compared = found["observed"], found["compared"]
    against = (
        " to ".join(f"{c:.3g}" for c in compared)
        if isinstance(compared, list)
        else f"{compared:.3g}"
    )
    line = (
        f"{planned.id} {found['outcome'].upper()} {planned.hypothesis}: {planned.relation} on side {planned.side} "
        f"({_HELD_AGAINST[planned.relation]} {against}): {planned.quantity} {value:+.3g}"
    )
    return f"{line}; {found['seen']}" if found.get("seen") else line


_HELD_AGAINST = {
    "fires": "at least",
    "silent": "below",
    "greater": "more than",
    "within": "from",
    "raises": "above",
    "lowers": "below",
}


def tested_texts(earlier: Sequence[Experiment]) -> str:
    """Texts of earlier second looks, without what came of them: a new one need not repeat them."""
    texts = dict.fromkeys(f'"{quote_text(planned.passage.text)}"' for planned in earlier)
    return (
        f"Texts that were tried on earlier claims; find others: {', '.join(texts)}" if texts else ""
    )


def strongest_tokens(tokens: Sequence[str], values: Sequence[float], n: int = 3) -> str:
    """``activations " Monday" +1.93, " on" -0.40``: what the unit did on a text, strongest first, no position 0."""
    order = sorted(range(1, len(tokens)), key=lambda i: -abs(values[i]))[:n]
    return (
        "activations " + ", ".join(f'"{quote_text(tokens[i])}" {values[i]:+.3g}' for i in order)
        if order
        else ""
    )


def fits(found: Sequence[tuple[Hypothesis, ExploreFit | None]]) -> str:
    """Hypotheses that were taken, how their predicates do on explore, and what the best of them misses."""
    lines = []
    for hypothesis, fit in found:
        if fit is None or fit.score is None:
            lines.append(
                f"{hypothesis.id}: taken, in words only; without a predicate it can hardly be scored"
            )
        else:
            formula = f": {_with_worth(hypothesis, fit)}" if fit.worth else ""
            lines.append(
                f"{hypothesis.id}: taken; correlation {fit.score:.3f} on the corpus that you were shown{formula}"
            )
    scored = [(h, fit) for h, fit in found if fit is not None and fit.score is not None]
    if scored:
        best, fit = max(scored, key=lambda pair: pair[1].score or 0.0)
        lines.append(f"What {best.id} misses most:\n{fence(_missed(fit))}")
    return "\n".join(lines)


def _missed(fit: ExploreFit) -> str:
    often = ", ".join(
        f'"{quote_text(m["token"])}" {m["missing"]:+.3g} x {m["count"]}' for m in fit.missed
    )
    return "\n".join(
        [
            *_misses(fit.worst, 3),
            *([f"again and again, true less predicted: {often}"] if often else []),
        ]
    )


def _with_worth(hypothesis: Hypothesis, fit: ExploreFit) -> str:
    """The formula, behind each term what the correlation loses without it."""
    from ....tools.dissection import Predicate

    terms = Predicate.parse(hypothesis.predicate or "").terms
    return " ".join(
        f"{'+' if term.sign > 0 else '-'} {term.grade} {term.concept.to_text()} [{value:.2f}]"
        for term, value in zip(terms, fit.worth, strict=True)
    ).removeprefix("+ ")


def feedback(hypothesis: Hypothesis, found: Feedback) -> str:
    """What select says of a hypothesis."""
    misses = fence("\n".join(_misses(found.worst, 3)))
    return f"{hypothesis.id} scores {found.score:.3f} on text that you were not shown. It misses\n{misses}"


def _misses(worst: Iterable[Mapping[str, Any]], most: int) -> list[str]:
    """Where prediction and truth differ most, as activations."""
    return [
        f'"{quote_text(miss["token"])}" true {miss["true"]:+.3g} predicted {miss["predicted"]:+.3g}'
        f" | {quote_text(miss['text'])}"
        for miss in list(worst)[:most]
    ]


def challenge(planned: Experiment, found: Mapping[str, Any]) -> str:
    """An experiment of somebody else: its outcome, where it was read, and why it was made."""
    text, span = planned.passage.text, planned.passage.span
    where = f', read at "{quote_text(text[slice(*span)])}"' if span else ""
    why = f" ({planned.reason})" if planned.reason else ""
    return f"{outcome(planned, found)} | text{where}: {quote_text(text)}{why}"


def instrument_result(id: str, text: str) -> str:
    """An instrument's answer under its id, cut to a size."""
    cut = (
        text
        if len(text) <= MOST_ANSWER
        else text[:MOST_ANSWER] + " ... (cut; ask for less at a time)"
    )
    return f"[{id}]\n{fence(cut)}"
