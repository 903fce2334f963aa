"""A reply of a language model becomes hypotheses, experiments, instrument calls or a conclusion.

Nothing in here raises for what a model wrote. A fault in one tool call goes back as that tool's
result and counts for nothing; the rest of the reply is used. A reply of which nothing can be used
(no tool call, refused, cut off, huge) is left out of the conversation and asked for again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ....tools.dissection import Predicate
from ....tools.dissection.statement import MAX_WORDS, word_count
from ....tools.errors import ArgumentError
from ..predictions import FIRING
from ..protocol import Call, Experiment, Hypothesis, Passage
from . import tools
from .read_formula import ReadFormula, read_formula

if TYPE_CHECKING:
    from ...llm.conversation import JournaledReply, Reply, ToolCall
    from .state import InvestigationState

MAX_CALLS = 16
"""Tool calls of one reply that are read; a model in a loop writes hundreds."""
MAX_REPLY = 40_000
"""Characters of one reply. A longer one would be paid for again with every later request."""
MAX_GIST = 25
"""Words of a hypothesis in the model's own words."""
MAX_HYPOTHESES = 40
"""Hypotheses of one investigation: the best of many more on select would be the luckiest."""
MAIN_TOOLS = ("propose", "experiment", "conclude", "cannot_explain")
LOOK_TOOLS = ("challenge",)
"""Own tools in the main conversation and in a second look."""
_REFERS_TO_ANOTHER = re.compile(
    r"^h\d+\b|\b(?:as|like|than|from|plus|minus) h\d+\b|^(?:the )?same\b", re.IGNORECASE
)
"""A sentence that leans on another hypothesis. A unit may well fire on the text "h1" itself."""


@dataclass(frozen=True)
class ParsedToolCall:
    """One parsed tool call of a reply. `faults` say how to repair what could not be used."""

    call: str
    hypotheses: tuple[Hypothesis, ...] = ()
    experiments: tuple[Experiment, ...] = ()
    instrument: Call | None = None
    result: str = ""
    """The id under which the instrument's result is cited."""
    favourite: str = ""
    settled: bool = False
    findings: str = ""
    cannot_explain: str = ""
    premature: str = ""
    """The hypothesis of a conclusion that still lacks evidence."""
    faults: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether it asks for anything that can be done."""
        concludes = self.favourite or self.premature or self.cannot_explain
        return bool(self.hypotheses or self.experiments or self.instrument or concludes)


@dataclass(frozen=True)
class ParsedReply:
    """A reply's tool calls, or why none of it can be used."""

    key: str
    """In the journal."""
    calls: tuple[ParsedToolCall, ...] = ()
    unusable: str = ""


def parse_reply(journaled: JournaledReply, state: InvestigationState, look: str) -> ParsedReply:
    """Parse a reply; the state grows by what it brings.

    Args:
        look: the hypothesis under a second look, to which every experiment then belongs; or "".
    """
    if why := why_unusable(journaled.reply):
        return ParsedReply(journaled.key, unusable=why)
    return ParsedReply(journaled.key, tuple(parse_calls(journaled.reply, state, look)))


def why_unusable(reply: Reply) -> str:
    """Why nothing of a reply can be used, or an empty string."""
    size = len(reply.text) + sum(len(call.raw) for call in reply.calls)
    if reply.stop == "refused":
        return "it was a refusal"
    if size > MAX_REPLY:
        return f"it has {size:,} characters; at most {MAX_REPLY:,} are read"
    if reply.stop == "length":
        return "it was cut off at the limit of its length; write less in one reply"
    if not reply.calls:
        return "it calls no tool; speak through tools only"
    ids = [call.id for call in reply.calls]
    if not all(ids) or len(set(ids)) < len(ids):
        return "its tool calls have no ids of their own"
    return ""


def parse_calls(reply: Reply, state: InvestigationState, look: str = "") -> list[ParsedToolCall]:
    """The tool calls of a usable reply; see `parse_reply`."""
    parsed = [_parse_call(call, state, look) for call in reply.calls[:MAX_CALLS]]
    too_many = (f"not read: at most {MAX_CALLS} tool calls in one reply",)
    return parsed + [ParsedToolCall(call.id, faults=too_many) for call in reply.calls[MAX_CALLS:]]


def _parse_call(call: ToolCall, state: InvestigationState, look: str) -> ParsedToolCall:
    """Parse one tool call; an error that the model can repair becomes a fault."""
    own = LOOK_TOOLS if look else MAIN_TOOLS
    names = [*own, tools.SHARED, *tools.instrument_tools()]
    try:
        if call.name not in names:
            raise ArgumentError(
                f"no tool is called {call.name[:60]!r}; there are {', '.join(names)}"
            )
        if call.arguments is None:
            raise ArgumentError(f"{call.name}: the arguments are no JSON object: {call.raw[:80]!r}")
        if call.name not in own:
            return _instrument(call, state)
        arguments = tools.validate_arguments(call.name, call.arguments)
        return _PARSERS[call.name](call.id, arguments, state, look)
    except ArgumentError as error:
        return ParsedToolCall(call.id, faults=(str(error),))


def _instrument(call: ToolCall, state: InvestigationState) -> ParsedToolCall:
    tool, arguments = tools.unwrap_call(call.name, call.arguments or {})
    arguments = tools.replace_aliases(tool, arguments, state.aliases)
    state.results += 1
    instrument = Call(call.id, tools.instrument_tools()[tool], arguments)
    return ParsedToolCall(call.id, instrument=instrument, result=f"r{state.results}")


def _propose(id: str, body: tools.Propose, state: InvestigationState, look: str) -> ParsedToolCall:
    """Take the hypotheses of a call into the state; those that cannot be used become faults."""
    hypotheses, faults = [], []
    for proposed in body.hypotheses[: tools.MAX_PROPOSED]:
        # A rejected hypothesis keeps its id too, so that the model knows which one is meant.
        state.proposed += 1
        name = f"h{state.proposed}"
        try:
            hypothesis, notes = _hypothesis(name, proposed, state)
        except ArgumentError as error:
            faults.append(f"{name} is not taken: {error}")
            continue
        faults += [f"{name} is taken {note}" for note in notes]
        state.hypotheses[name] = hypothesis
        hypotheses.append(hypothesis)
    if (more := len(body.hypotheses) - tools.MAX_PROPOSED) > 0:
        faults.append(
            f"{more} more of this call are not read: at most {tools.MAX_PROPOSED} at once"
        )
    return ParsedToolCall(id, hypotheses=tuple(hypotheses), faults=tuple(faults))


def _hypothesis(
    name: str, proposed: tools.Proposed, state: InvestigationState
) -> tuple[Hypothesis, list[str]]:
    """A hypothesis, and what its writer must know of how it was read."""
    if len(state.hypotheses) >= MAX_HYPOTHESES:
        raise ArgumentError(
            f"{MAX_HYPOTHESES} hypotheses are written down and no more are taken: test and conclude"
        )
    parent = proposed.revises or None
    if parent is not None and parent not in state.hypotheses:
        raise ArgumentError(f"revises {parent!r}: {state.known_hypotheses()}")
    revised = state.hypotheses[parent] if parent else None
    gist, notes = _gist(proposed, revised)
    written = " ".join((proposed.predicate or "").split())
    if proposed.add:
        written = _extended(proposed.add, revised)
    printed = None
    if written:
        read = read_formula(written, state)
        printed = read.predicate
        notes += _advice(name, read)
    sentence = " ".join(proposed.sentence.split())
    if not sentence:
        sentence = state.sentence(printed) if printed else gist
    hypothesis = Hypothesis(
        name,
        sentence,
        printed,
        "language model",
        parent,
        gist,
        written if written != printed else "",
    )
    _require_new(hypothesis, state)
    return state.inherit(hypothesis), notes


def _gist(proposed: tools.Proposed, revised: Hypothesis | None) -> tuple[str, list[str]]:
    """The model's own words, those of the hypothesis that it revises if it gives none."""
    gist = " ".join(proposed.gist.split())
    sentence = " ".join(proposed.sentence.split())
    if not gist and not sentence and revised is not None:
        gist = revised.words
    words = word_count(sentence or gist)
    if not 0 < words <= MAX_WORDS:
        raise ArgumentError(f"the sentence has {words} words; give 1 to {MAX_WORDS}")
    if any(map(_REFERS_TO_ANOTHER.search, (gist, sentence))):
        raise ArgumentError(
            "the sentence leans on another hypothesis; its reader sees it alone: say all that U does"
        )
    if gist and word_count(gist) > MAX_GIST:
        shown = " ".join(gist.split()[:MAX_GIST])
        return shown, [f"with the first {MAX_GIST} words of its gist, which has {word_count(gist)}"]
    return gist, []


def _extended(add: str, revised: Hypothesis | None) -> str:
    """A revised formula with further concepts, all grades to be fitted again."""
    if revised is None:
        raise ArgumentError("`add` needs `revises`: the hypothesis that gets the concepts")
    concepts = []
    if revised.predicate:
        predicate = Predicate.parse(revised.predicate)
        concepts = [term.concept.to_text() for term in predicate.terms]
    return " + ".join([*concepts, " ".join(add.split())])


def _advice(name: str, read: ReadFormula) -> list[str]:
    """What to do about terms that were left out."""
    notes = list(read.notes)
    if read.predicate is None:
        notes.append("in words only")
    if notes and not notes[-1].startswith("with fitted"):
        repair = "add" if read.predicate else "predicate"
        notes[-1] += f" (propose it again with revises {name!r} and {repair}; its experiments stay)"
    return notes


def _require_new(hypothesis: Hypothesis, state: InvestigationState) -> None:
    """Raise ArgumentError if another hypothesis is the same."""
    for other in state.hypotheses.values():
        if other.predicate != hypothesis.predicate:
            continue
        if other.sentence == hypothesis.sentence and other.gist == hypothesis.gist:
            raise ArgumentError(f"{other.id} is the same")
        if other.predicate is not None and other.id != hypothesis.parent:
            raise ArgumentError(
                f"{other.id} has the same predicate; to say it better write revises {other.id!r}"
            )


def _experiment(
    id: str, body: tools.RunExperiments, state: InvestigationState, look: str
) -> ParsedToolCall:
    """Take the experiments of a call into the state; those that cannot be made become faults."""
    experiments, faults = [], []
    for number, planned in enumerate(body.experiments[: tools.MAX_PLANNED], 1):
        try:
            hypothesis = look or getattr(planned, "hypothesis", "")
            state.require_hypothesis(hypothesis)
            experiment = _planned(planned, f"e{len(state.experiments) + 1}", hypothesis)
            if any(_is_same(experiment, other) for other in state.experiments.values()):
                raise ArgumentError("this experiment was made before; try another text")
        except ArgumentError as error:
            faults.append(
                f"experiment {number} of this call is not made and counts for nothing: {error}"
            )
            continue
        state.experiments[experiment.id] = experiment
        experiments.append(experiment)
    if (more := len(body.experiments) - tools.MAX_PLANNED) > 0:
        faults.append(f"{more} more of this call are not made: at most {tools.MAX_PLANNED} at once")
    if look and experiments:
        state.looked.add(look)
        state.challenges.update(experiment.id for experiment in experiments)
    return ParsedToolCall(id, experiments=tuple(experiments), faults=tuple(faults))


_RELATIONS = {
    "max": ("fires", "silent", "greater", "within"),
    "mean": ("fires", "silent", "greater", "within"),
    "kl": ("greater", "within"),
    "rank": ("within",),
    "logprob": ("raises", "lowers", "within"),
    "logit_difference": ("raises", "lowers", "within"),
}
"""What can be predicted of each quantity."""
_NEEDED = {"logprob": ("token", "strength"), "logit_difference": ("token", "versus", "than")}
"""Arguments that a quantity needs besides the text."""


def _planned(planned: tools.Challenged, id: str, hypothesis: str) -> Experiment:
    """An experiment from a tool call; ArgumentError says what its quantity and relation need."""
    quantity, relation = planned.quantity, planned.predicts
    needed = _NEEDED.get(quantity, ())
    if relation not in _RELATIONS[quantity]:
        allowed = " or ".join(_RELATIONS[quantity])
        raise ArgumentError(f"of the quantity {quantity} predict {allowed}")
    if missing := [name for name in needed if not getattr(planned, name)]:
        raise ArgumentError(f"the quantity {quantity} needs {' and '.join(missing)}")
    if relation == "greater" and not planned.than:
        raise ArgumentError("`greater` needs the text that it is compared with, `than`")
    other = bounds = None
    if planned.than and (relation == "greater" or quantity == "logit_difference"):
        other = Passage(planned.than, _span(planned.than, planned.than_focus))
    if relation == "within":
        low, high = planned.low, planned.high
        if low is None or high is None or not low <= high:
            raise ArgumentError("`within` needs numbers low <= high")
        bounds = (float(low), float(high))
        if not all(abs(bound) < 1e9 for bound in bounds):
            raise ArgumentError(f"low and high are activations of this unit, not {bounds}")
    return Experiment(
        id=id,
        hypothesis=hypothesis,
        passage=Passage(planned.text, _span(planned.text, planned.focus)),
        relation=relation,
        side=planned.side,
        quantity=quantity,
        other=other,
        bounds=bounds,
        reason=" ".join(planned.why.split())[:200],
        level=FIRING if relation == "fires" else 0.0,
        **{name: getattr(planned, name) for name in needed if name != "than"},
    )


def _span(text: str, focus: str | None) -> tuple[int, int] | None:
    """Where the focus occurs last, as a whole word if it does; None is the whole text."""
    focus = (focus or "").strip()
    if not focus:
        return None
    whole = [match.start() for match in re.finditer(rf"(?<!\w){re.escape(focus)}(?!\w)", text)]
    start = whole[-1] if whole else text.rfind(focus)
    if start < 0:
        raise ArgumentError(
            f"the focus {focus[:60]!r} does not occur in its text {text[:60]!r}; copy it exactly"
        )
    return start, start + len(focus)


def _is_same(left: Experiment, right: Experiment) -> bool:
    """Whether two experiments differ in nothing but their id and reason."""
    return replace(left, id="", reason="") == replace(right, id="", reason="")


def _conclude(
    id: str, body: tools.Conclude, state: InvestigationState, look: str
) -> ParsedToolCall:
    hypothesis = body.hypothesis.strip()
    state.require_hypothesis(hypothesis)
    if missing := state.missing_evidence(hypothesis):
        return ParsedToolCall(id, premature=hypothesis, faults=(f"not yet: {missing}",))
    settled, findings = hypothesis in state.looked, body.findings.strip()
    return ParsedToolCall(id, favourite=hypothesis, settled=settled, findings=findings)


def _cannot_explain(
    id: str, body: tools.CannotExplain, state: InvestigationState, look: str
) -> ParsedToolCall:
    return ParsedToolCall(id, cannot_explain=" ".join(body.reason.split()))


_PARSERS: Mapping[str, Callable[[str, Any, InvestigationState, str], ParsedToolCall]] = {
    "propose": _propose,
    "experiment": _experiment,
    "challenge": _experiment,
    "conclude": _conclude,
    "cannot_explain": _cannot_explain,
}
