"""The experiments of one move of a language model, run together: all predictions first, then one
call, then all comparisons. A text that the subject cannot read makes its own experiment void and no
other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...tools.subject.address import Unit
from ..explainers.language_model.prompt_text import strongest_tokens
from ..explainers.predictions import VOID, Reading, adjudicate, compare
from ..explainers.protocol import LONGEST_LENS, Experiment, Move, Quantity

if TYPE_CHECKING:
    from .context import InvestigationContext

MOST_TEXTS = 200
"""Texts of one call of the instrument, which takes 256."""


def run_experiments(
    room: InvestigationContext, target: str, experiments: Sequence[Experiment]
) -> None:
    """Write the predictions, read all texts, write the outcomes."""
    for planned in experiments:
        prediction = Move(experiments=(planned,)).to_json()["experiments"][0]
        room.log.write(
            "prediction", prediction | {"call": planned.call}, target=target, id=planned.id
        )
    on_text = [e for e in experiments if e.quantity in ("max", "mean")]
    seen = _read(room, target, list(dict.fromkeys(t for e in on_text for t in _texts(e))))
    for planned in experiments:
        if planned.quantity in _BY_INSTRUMENT:
            outcome = _BY_INSTRUMENT[planned.quantity](room, target, planned)
        else:
            outcome = _by_activation(
                room, target, planned, [seen[text] for text in _texts(planned)]
            )
        identity = {"experiment": planned.id, "hypothesis": planned.hypothesis}
        room.log.write("outcome", identity | outcome, target=target, id=planned.id)


def _by_activation(
    room: InvestigationContext, target: str, planned: Experiment, found: Sequence[Any]
) -> dict[str, Any]:
    faulty = next((text for text in found if isinstance(text, str)), None)
    if faulty is not None:
        return VOID | {"seen": faulty}
    thresholds = room.thresholds(target, planned.side)
    outcome = adjudicate(planned, [_reading(text) for text in found], thresholds)
    return outcome | {"seen": _shown(found[0])}


def _by_ablation(room: InvestigationContext, target: str, planned: Experiment) -> dict[str, Any]:
    """The largest KL at any position but the first, on text A and on text B."""
    unit = str(Unit.parse(target).unsided)
    answer = room.consult(target, "ablate", planned.call["arguments"] | {"unit": unit})
    if answer["error"]:
        return VOID | {"seen": answer["text"]}
    largest = [max(text["kl"][1:] or text["kl"]) for text in answer["result"]["texts"]]
    other = largest[1] if planned.other else None
    return compare(planned, largest[0], other) | {"seen": "KL of ablating U, nats"}


def _by_rank(room: InvestigationContext, target: str, planned: Experiment) -> dict[str, Any]:
    """Where the passage, a token, stands among those that the unit promotes when it fires on the side."""
    unit = str(Unit.parse(target).unsided)
    answer = room.consult(target, "logit_lens", planned.call["arguments"] | {"unit": unit})
    if answer["error"]:
        return VOID | {"seen": answer["text"]}
    listed = answer["result"]["promoted" if planned.side == "+" else "suppressed"]["tokens"]
    bare = [token.strip().lower() for token in listed]
    wanted = planned.passage.text.strip().lower()
    rank = bare.index(wanted) + 1 if wanted in bare else LONGEST_LENS + 1
    return compare(planned, float(rank), None) | {"seen": "rank among the tokens that U promotes"}


def _by_steering(room: InvestigationContext, target: str, planned: Experiment) -> dict[str, Any]:
    """The change of the token's log-probability behind the text."""
    unit = str(Unit.parse(target).unsided)
    answer = room.consult(target, "steer", planned.call["arguments"] | {"unit": unit})
    if answer["error"]:
        return VOID | {"seen": answer["text"]}
    (steered,) = answer["result"]["strengths"]
    return compare(planned, steered["log_ratios"][0], None) | {
        "seen": "change of its log-probability, nats"
    }


def _by_patching(room: InvestigationContext, target: str, planned: Experiment) -> dict[str, Any]:
    """The change of the logit difference behind the text when the unit has its values of the other text."""
    unit = str(Unit.parse(target).unsided)
    answer = room.consult(target, "patch", planned.call["arguments"] | {"units": [unit]})
    if answer["error"]:
        return VOID | {"seen": answer["text"]}
    found = answer["result"]["logit_difference"]
    seen = f"change of the logit difference; without {found['base']:+.3g}, on the other text {found['source']:+.3g}"
    return compare(planned, found["patched"] - found["base"], None) | {"seen": seen}


_BY_INSTRUMENT: Mapping[
    Quantity, Callable[[InvestigationContext, str, Experiment], dict[str, Any]]
] = {
    "kl": _by_ablation,
    "rank": _by_rank,
    "logprob": _by_steering,
    "logit_difference": _by_patching,
}


def _texts(planned: Experiment) -> list[str]:
    return planned.call["arguments"]["texts"]


def _read(room: InvestigationContext, target: str, texts: list[str]) -> dict[str, Any]:
    """Text to what the instrument says of it, or to what is wrong with it."""
    found: dict[str, Any] = {}
    for first in range(0, len(texts), MOST_TEXTS):
        some = texts[first : first + MOST_TEXTS]
        found |= _read_some(room, target, some)
    return found


def _read_some(room: InvestigationContext, target: str, texts: list[str]) -> dict[str, Any]:
    unit = str(Unit.parse(target).unsided)
    answer = room.consult(target, "activations.on_text", {"texts": texts, "units": [unit]})
    if not answer["error"]:
        rows = answer["result"]["texts"]
        return {
            text: row | {"values": row["activations"][unit]}
            for text, row in zip(texts, rows, strict=True)
        }
    if len(texts) == 1:
        return {texts[0]: answer["text"]}
    return {text: what for one in texts for text, what in _read_some(room, target, [one]).items()}


def _reading(text: Mapping[str, Any]) -> Reading:
    return Reading([tuple(o) for o in text["offsets"]], text["values"])


def _shown(text: Mapping[str, Any]) -> str:
    return strongest_tokens(text["tokens"], text["values"])
