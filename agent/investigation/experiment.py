"""Step 3, experiment: all predictions are logged, then instruments are called, then code compares.

1. Every experiment's prediction is written to the log.
2. All texts whose activations are read go to one instrument call (or a few, if there are many).
3. Each outcome is the prediction compared with the result. An experiment that cannot be read is
   void: it counts neither for nor against, and no other experiment suffers from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..explainers.language_model.prompt_text import strongest_tokens
from ..explainers.predictions import VOID, PredictionOutcome, Reading, adjudicate, compare
from ..explainers.protocol import LONGEST_LENS, recorded

if TYPE_CHECKING:
    from ...tools.subject.address import Unit
    from ..explainers.protocol import Experiment, Quantity
    from ..runlog.log import Data
    from .context import InvestigationContext

MOST_TEXTS = 200
"""Texts per call of `activations.on_text`, which accepts 256."""


class TextReading(NamedTuple):
    """A target's activations on one text."""

    reading: Reading | None
    """None when the text could not be read."""
    seen: str | None = None
    """What the model is told about the text: the strongest tokens, or what is wrong with the text."""


TextReader = Callable[["InvestigationContext", "Unit", Sequence[str]], Mapping[str, TextReading]]


def run_experiments(
    context: InvestigationContext,
    unit: Unit,
    experiments: Sequence[Experiment],
    read_texts: TextReader,
) -> None:
    """Log the predictions, call the instruments, log the outcomes.

    Args:
        read_texts: reads the target's activations, `read_plainly` or `read_for_model`.
    """
    target = str(unit)
    # 1. Log the predictions before anything is measured.
    for planned in experiments:
        prediction = recorded(planned) | {"call": planned.call}
        context.log.write("prediction", prediction, target=target, id=planned.id)
    # 2. Read all texts at once.
    texts = [text for planned in experiments if _reads_text(planned) for text in planned.texts]
    readings = read_texts(context, unit, texts) if texts else {}
    # 3. Compare each prediction with its result.
    for planned in experiments:
        if _reads_text(planned):
            outcome = _outcome_on_text(context, unit, planned, readings)
        else:
            outcome = _outcome_of_call(context, unit, planned)
        identity = {"experiment": planned.id, "hypothesis": planned.hypothesis}
        context.log.write("outcome", identity | outcome, target=target, id=planned.id)


def read_plainly(
    context: InvestigationContext, unit: Unit, texts: Sequence[str]
) -> dict[str, TextReading]:
    """Activations on texts that a program wrote. An artificial target has none to read."""
    if context.is_null(unit):
        return dict.fromkeys(texts, TextReading(None))
    address = str(unit.unsided)
    arguments = {"texts": list(texts), "units": [address]}
    result = context.instruments.call(unit, "activations.on_text", arguments)
    return {
        text: TextReading(_reading(row, address))
        for text, row in zip(texts, result["texts"], strict=True)
    }


def read_for_model(
    context: InvestigationContext, unit: Unit, texts: Sequence[str]
) -> dict[str, TextReading]:
    """Activations on texts that a model wrote, with a line on each that it is shown."""
    distinct = list(dict.fromkeys(texts))
    readings: dict[str, TextReading] = {}
    for first in range(0, len(distinct), MOST_TEXTS):
        readings |= _read_batch(context, unit, distinct[first : first + MOST_TEXTS])
    return readings


def _read_batch(
    context: InvestigationContext, unit: Unit, texts: list[str]
) -> dict[str, TextReading]:
    """Read the unit on several texts with one instrument call."""
    address = str(unit.unsided)
    arguments = {"texts": texts, "units": [address]}
    answer = context.instruments.call_for_model(unit, "activations.on_text", arguments)
    if not answer["error"]:
        readings = {}
        for text, row in zip(texts, answer["result"]["texts"], strict=True):
            seen = strongest_tokens(row["tokens"], row["activations"][address])
            readings[text] = TextReading(_reading(row, address), seen)
        return readings
    if len(texts) == 1:
        return {texts[0]: TextReading(None, answer["text"])}
    # One bad text fails the whole call, so each is read on its own.
    return {
        t: reading for text in texts for t, reading in _read_batch(context, unit, [text]).items()
    }


def _reading(row: Mapping[str, Any], address: str) -> Reading:
    offsets = [tuple(offset) for offset in row["offsets"]]
    return Reading(offsets, row["activations"][address])


def _reads_text(planned: Experiment) -> bool:
    return planned.quantity in ("max", "mean")


def _outcome_on_text(
    context: InvestigationContext,
    unit: Unit,
    planned: Experiment,
    readings: Mapping[str, TextReading],
) -> Data:
    """The outcome of an experiment from readings of its texts; void if one cannot be read."""
    on_texts = [readings[text] for text in planned.texts]
    unreadable = next((on_text for on_text in on_texts if on_text.reading is None), None)
    if unreadable is not None:
        return _with_seen(VOID, unreadable.seen)
    thresholds = context.data.thresholds(unit, planned.side)
    read = [on_text.reading for on_text in on_texts if on_text.reading is not None]
    return _with_seen(adjudicate(planned, read, thresholds), on_texts[0].seen)


def _with_seen(outcome: PredictionOutcome, seen: str | None) -> Data:
    return dict(outcome) if seen is None else {**outcome, "seen": seen}


class _Measured(NamedTuple):
    observed: float
    seen: str
    """What was measured, for the model."""
    other: float | None = None
    """The same on text B."""


def _outcome_of_call(context: InvestigationContext, unit: Unit, planned: Experiment) -> Data:
    """The outcome of an experiment whose quantity another instrument measures."""
    name, arguments = planned.call["instrument"], planned.call["arguments"]
    address = str(unit.unsided)
    where = {"units": [address]} if name == "patch" else {"unit": address}
    answer = context.instruments.call_for_model(unit, name, arguments | where)
    if answer["error"]:
        return _with_seen(VOID, answer["text"])
    measured = _MEASURES[planned.quantity](planned, answer["result"])
    return _with_seen(compare(planned, measured.observed, measured.other), measured.seen)


def _kl(planned: Experiment, result: Data) -> _Measured:
    """The largest KL at any position but the first, on text A and on text B."""
    largest = [max(text["kl"][1:] or text["kl"]) for text in result["texts"]]
    return _Measured(largest[0], "KL of ablating U, nats", largest[1] if planned.other else None)


def _rank(planned: Experiment, result: Data) -> _Measured:
    """The rank of the passage, a token, among those that the unit promotes on the side."""
    listed = result["promoted" if planned.side == "+" else "suppressed"]["tokens"]
    tokens = [token.strip().lower() for token in listed]
    token = planned.passage.text.strip().lower()
    rank = tokens.index(token) + 1 if token in tokens else LONGEST_LENS + 1
    return _Measured(float(rank), "rank among the tokens that U promotes")


def _log_probability(planned: Experiment, result: Data) -> _Measured:
    """The change of the next token's log-probability."""
    (steered,) = result["strengths"]
    return _Measured(steered["log_ratios"][0], "change of its log-probability, nats")


def _logit_difference(planned: Experiment, result: Data) -> _Measured:
    """The change of the logit difference when the unit takes its values on the other text."""
    difference = result["logit_difference"]
    seen = (
        f"change of the logit difference; without {difference['base']:+.3g}, "
        f"on the other text {difference['source']:+.3g}"
    )
    return _Measured(difference["patched"] - difference["base"], seen)


_MEASURES: Mapping[Quantity, Callable[[Experiment, Data], _Measured]] = {
    "kl": _kl,
    "rank": _rank,
    "logprob": _log_probability,
    "logit_difference": _logit_difference,
}
