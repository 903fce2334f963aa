"""A reply of a language model becomes hypotheses, experiments, instrument calls or a conclusion.

What is off in one part of a reply goes back as that tool's answer and counts for nothing; the rest
is used. A reply of which nothing can be used at all (no tool call, refused, cut off, huge) is left
out of the conversation and asked for again. Nothing in here raises for what a model wrote.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any

from ....tools.errors import ArgumentError, UsageError
from ..predictions import tally
from ..protocol import Call, Experiment, ExploreFit, GradedPredicate, Hypothesis, Passage
from . import tools

if TYPE_CHECKING:
    from ...llm.conversation import Reply, ToolCall
    from .aliases import Aliases

MOST_WORDS = 40
MOST_CALLS = 16
"""Tool calls of one reply that are read; a model in a loop writes hundreds."""
MOST_CHARACTERS = 40_000
"""Of one reply. More is no answer, and would be paid for again with every later request."""
MOST_PREDICATE = 1500
"""Characters; the limits of the language itself allow about 900."""
MOST_HYPOTHESES = 40
"""Of one investigation: more of them is tuning, and the best of many on select is luck."""
_LEANS = re.compile(
    r"^h\d+\b|\b(?:as|like|than|from|plus|minus) h\d+\b|^(?:the )?same\b", re.IGNORECASE
)
"""Speaks of another hypothesis. A unit may well fire on "h1", as pages have it."""
FEWEST_EXPERIMENTS, SILENT_SHARE = 4, 1 / 3
"""What a conclusion needs: so many experiments that could be read, and this share of them predicted silence."""


@dataclass
class InvestigationState:
    """What has come up in an investigation so far."""

    aliases: Aliases
    fit: Callable[[str], ExploreFit]
    grade: Callable[[tuple[str, ...]], GradedPredicate]
    hypotheses: dict[str, Hypothesis] = field(default_factory=dict)
    proposed: int = 0
    """Hypotheses that were written down, those that were not taken included: ids are given before they are read."""
    experiments: dict[str, Experiment] = field(default_factory=dict)
    outcomes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By the experiment's id."""
    levels: Mapping[str, float] = field(default_factory=dict)
    """What counts as firing, by side."""
    looked: set[str] = field(default_factory=set)
    """Hypotheses that a second look has tested."""
    challenges: set[str] = field(default_factory=set)
    """Experiments that a second look made."""
    results: int = 4
    """Numbers of results given out; r1 to r4 are what the unit does on the corpus."""

    def counted(self) -> list[Mapping[str, Any]]:
        """Outcomes of the experiments that could be read."""
        return [
            o for i in self.experiments if (o := self.outcomes.get(i)) and o["outcome"] != "void"
        ]

    def tally(self, hypothesis: str) -> tuple[int, int]:
        """For and against."""
        return tally(self.counted(), hypothesis)

    def own(self) -> list[Experiment]:
        """Experiments that could be read and that no second look made."""
        counted = [self.experiments[str(o["experiment"])] for o in self.counted()]
        return [experiment for experiment in counted if experiment.id not in self.challenges]

    def silent(self) -> int:
        """Own experiments that predicted silence."""
        return sum(map(self._is_silent, self.own()))

    def _is_silent(self, planned: Experiment) -> bool:
        """Silent, or within bounds that end below what counts as firing."""
        if planned.quantity not in ("max", "mean"):
            return False
        below = planned.bounds is not None and planned.bounds[1] < self.levels.get(
            planned.side, float("-inf")
        )
        return planned.relation == "silent" or below

    def new_hypothesis(self) -> str:
        """The next hypothesis' id. What is not taken keeps its own, so that its writer knows which is which."""
        self.proposed += 1
        return f"h{self.proposed}"

    def new_experiment(self) -> str:
        """The next experiment's id."""
        return f"e{len(self.experiments) + 1}"


@dataclass(frozen=True)
class ParsedToolCall:
    """One tool call of a reply, read. `faults` say how to repair what could not be used."""

    call: str
    hypotheses: tuple[Hypothesis, ...] = ()
    experiments: tuple[Experiment, ...] = ()
    instrument: Call | None = None
    result: str = ""
    """The id under which the instrument's answer is quoted."""
    favourite: str = ""
    settled: bool = False
    findings: str = ""
    cannot_explain: str = ""
    premature: str = ""
    """The hypothesis of a conclusion for which something is missing."""
    faults: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether there is anything in it to do."""
        told = self.favourite or self.premature or self.cannot_explain
        return bool(self.hypotheses or self.experiments or self.instrument or told)


def unusable(reply: Reply) -> str:
    """Why nothing of a reply can be used, or an empty string."""
    size = len(reply.text) + sum(len(call.raw) for call in reply.calls)
    if reply.stop == "refused":
        return "it was a refusal"
    if size > MOST_CHARACTERS:
        return f"it has {size:,} characters; at most {MOST_CHARACTERS:,} are read"
    if reply.stop == "length":
        return "it was cut off at the limit of its length; write less in one reply"
    if not reply.calls:
        return "it calls no tool; speak through tools only"
    ids = [call.id for call in reply.calls]
    if not all(ids) or len(set(ids)) < len(ids):
        return "its tool calls have no ids of their own"
    return ""


def read(reply: Reply, known: InvestigationState, look: str = "") -> list[ParsedToolCall]:
    """The parts of a usable reply; `known` grows by what they bring.

    Args:
        look: the hypothesis under a second look, to which every experiment belongs.
    """
    parts = [_read_call(call, known, look) for call in reply.calls[:MOST_CALLS]]
    return parts + [
        ParsedToolCall(call.id, faults=(f"not read: at most {MOST_CALLS} tool calls in one reply",))
        for call in reply.calls[MOST_CALLS:]
    ]


def _read_call(call: ToolCall, known: InvestigationState, look: str) -> ParsedToolCall:
    own = ("challenge",) if look else ("propose", "experiment", "conclude", "cannot_explain")
    try:
        if call.name not in own and call.name != tools.SHARED and call.name not in tools.offered():
            names = ", ".join([*own, tools.SHARED, *tools.offered()])
            raise ArgumentError(f"no tool is called {call.name[:60]!r}; there are {names}")
        if call.arguments is None:
            raise ArgumentError(f"{call.name}: the arguments are no JSON object: {call.raw[:80]!r}")
        if call.name not in own:
            return _instrument(call, known)
        arguments = tools.read_arguments(call.name, call.arguments)
        return _READERS[call.name](call.id, arguments, known, look)
    except ArgumentError as error:
        return ParsedToolCall(call.id, faults=(str(error),))


def _instrument(call: ToolCall, known: InvestigationState) -> ParsedToolCall:
    tool, asked = tools.unwrapped(call.name, call.arguments or {})
    arguments = tools.revealed(tool, asked, known.aliases)
    known.results += 1
    return ParsedToolCall(
        call.id,
        instrument=Call(call.id, tools.offered()[tool], arguments),
        result=f"r{known.results}",
    )


def _propose(id: str, asked: tools.Propose, known: InvestigationState, look: str) -> ParsedToolCall:
    taken, faults = [], []
    for proposed in asked.hypotheses[: tools.MOST_PROPOSED]:
        named = known.new_hypothesis()
        try:
            hypothesis, left_out = _hypothesis(named, proposed, known)
        except ArgumentError as error:
            faults.append(f"{named} is not taken: {error}")
            continue
        if left_out:
            faults.append(f"{named} is taken without {left_out}")
        known.hypotheses[hypothesis.id] = hypothesis
        taken.append(hypothesis)
    if (more := len(asked.hypotheses) - tools.MOST_PROPOSED) > 0:
        faults.append(
            f"{more} more of this call are not read: at most {tools.MOST_PROPOSED} at once"
        )
    return ParsedToolCall(id, hypotheses=tuple(taken), faults=tuple(faults))


def _hypothesis(
    named: str, proposed: tools.Proposed, known: InvestigationState
) -> tuple[Hypothesis, str]:
    """A hypothesis, and what of its formula had to be left out."""
    from ....tools.dissection.formula_english import word_count

    sentence = " ".join(proposed.sentence.split())
    if len(known.hypotheses) >= MOST_HYPOTHESES:
        raise ArgumentError(
            f"{MOST_HYPOTHESES} hypotheses are written down and no more are taken: test and conclude"
        )
    if not 0 < (words := word_count(sentence)) <= MOST_WORDS:
        raise ArgumentError(f"the sentence has {words} words; give 1 to {MOST_WORDS}")
    if _LEANS.search(sentence):
        raise ArgumentError(
            "the sentence leans on another hypothesis; its reader sees it alone: say all that U does"
        )
    parent = proposed.revises or None
    if parent is not None and parent not in known.hypotheses:
        raise ArgumentError(f"revises {parent!r}: {_known_hypotheses(known)}")
    printed, left_out = (
        _canonical_predicate(proposed.predicate, known) if proposed.predicate else (None, "")
    )
    for other in known.hypotheses.values():
        if other.predicate == printed and other.sentence == sentence:
            raise ArgumentError(f"{other.id} is the same")
        if printed is not None and other.predicate == printed and other.id != parent:
            raise ArgumentError(
                f"{other.id} has the same predicate; to say it better write revises {other.id!r}"
            )
    return Hypothesis(named, sentence, printed, "language model", parent), left_out


def _canonical_predicate(written: str, known: InvestigationState) -> tuple[str, str]:
    """The printed form of a predicate that can be read and run, and what the program left out of it."""
    from ....tools.dissection import Predicate, parse_terms

    if len(written) > MOST_PREDICATE:
        raise ArgumentError(
            f"the predicate has {len(written)} characters; at most {MOST_PREDICATE}"
        )
    written = " ".join(written.split())
    try:
        terms = parse_terms(written)
        if not all(term.grade for term in terms):
            return _graded(tuple(term.concept.to_text() for term in terms), known)
        predicate = Predicate.parse(written)
    except (UsageError, ValueError, OverflowError, RecursionError) as error:
        raise ArgumentError(f"the predicate cannot be read: {str(error)[:900]}") from None
    if not predicate.terms:
        raise ArgumentError("the predicate has no term; leave it out, or name at least one concept")
    if not (isfinite(predicate.step) and isfinite(predicate.rest)):
        raise ArgumentError("step and rest of the predicate must be numbers; leave them out")
    printed = predicate.to_text()
    if problem := known.fit(printed).problem:
        raise ArgumentError(f"the predicate cannot be run: {problem[:900]}")
    return printed, ""


def _graded(concepts: tuple[str, ...], known: InvestigationState) -> tuple[str, str]:
    """The printed predicate of concepts for which the program finds the grades, and what it left out."""
    graded = known.grade(concepts)
    if graded.problem:
        raise ArgumentError(f"no grades can be found: {graded.problem[:900]}")
    return graded.predicate, graded.left_out


def _experiment(id: str, asked: tools.Run, known: InvestigationState, look: str) -> ParsedToolCall:
    planned, faults = [], []
    for number, one in enumerate(asked.experiments[: tools.MOST_PLANNED], 1):
        try:
            hypothesis = look or getattr(one, "hypothesis", "")
            if hypothesis not in known.hypotheses:
                raise ArgumentError(f"hypothesis {hypothesis!r}: {_known_hypotheses(known)}")
            experiment = _planned(one, known.new_experiment(), hypothesis)
            if any(_same(experiment, other) for other in known.experiments.values()):
                raise ArgumentError("this experiment was made before; try another text")
        except ArgumentError as error:
            faults.append(
                f"experiment {number} of this call is not made and counts for nothing: {error}"
            )
            continue
        known.experiments[experiment.id] = experiment
        planned.append(experiment)
    if (more := len(asked.experiments) - tools.MOST_PLANNED) > 0:
        faults.append(
            f"{more} more of this call are not made: at most {tools.MOST_PLANNED} at once"
        )
    if look and planned:
        known.looked.add(look)
        known.challenges.update(e.id for e in planned)
    return ParsedToolCall(id, experiments=tuple(planned), faults=tuple(faults))


def _planned(one: tools.Challenged, id: str, hypothesis: str) -> Experiment:
    other = None
    allowed = _PREDICTED.get(one.quantity, ("fires", "silent", "greater", "within"))
    if one.predicts not in allowed:
        raise ArgumentError(f"of the quantity {one.quantity} predict {' or '.join(allowed)}")
    if missing := [name for name in _NEEDED.get(one.quantity, ()) if not getattr(one, name)]:
        raise ArgumentError(f"the quantity {one.quantity} needs {' and '.join(missing)}")
    if one.predicts == "greater" and not one.than:
        raise ArgumentError("`greater` needs the text that it is compared with, `than`")
    if one.than and (one.predicts == "greater" or one.quantity == "logit_difference"):
        other = Passage(one.than, _span(one.than, one.than_focus))
    if one.predicts == "within" and (
        one.low is None or one.high is None or not one.low <= one.high
    ):
        raise ArgumentError("`within` needs numbers low <= high")
    bounds = (float(one.low), float(one.high)) if one.predicts == "within" else None  # type: ignore[arg-type]
    if bounds is not None and not all(abs(b) < 1e9 for b in bounds):
        raise ArgumentError(f"low and high are activations of this unit, not {bounds}")
    return Experiment(
        id=id,
        hypothesis=hypothesis,
        passage=Passage(one.text, _span(one.text, one.focus)),
        relation=one.predicts,
        side=one.side,
        quantity=one.quantity,
        other=other,
        bounds=bounds,
        reason=" ".join(one.why.split())[:200],
        **{name: getattr(one, name) for name in _NEEDED.get(one.quantity, ()) if name != "than"},
    )


_PREDICTED = {
    "kl": ("greater", "within"),
    "rank": ("within",),
    "logprob": ("raises", "lowers", "within"),
    "logit_difference": ("raises", "lowers", "within"),
}
"""What can be predicted of a quantity that is no activation."""
_NEEDED = {"logprob": ("token", "strength"), "logit_difference": ("token", "versus", "than")}


def _span(text: str, focus: str | None) -> tuple[int, int] | None:
    """Where the focus stands, the last time, as a word of its own if it does; None is the whole text."""
    wanted = (focus or "").strip()
    if not wanted:
        return None
    whole = [match.start() for match in re.finditer(rf"(?<!\w){re.escape(wanted)}(?!\w)", text)]
    at = whole[-1] if whole else text.rfind(wanted)
    if at < 0:
        raise ArgumentError(
            f"the focus {wanted[:60]!r} does not occur in its text {text[:60]!r}; copy it exactly"
        )
    return at, at + len(wanted)


def _same(a: Experiment, b: Experiment) -> bool:
    names = (
        "hypothesis",
        "passage",
        "relation",
        "side",
        "quantity",
        "other",
        "bounds",
        "token",
        "versus",
        "strength",
    )
    return all(getattr(a, name) == getattr(b, name) for name in names)


def _conclude(
    id: str, asked: tools.Conclude, known: InvestigationState, look: str
) -> ParsedToolCall:
    wanted = asked.hypothesis.strip()
    if wanted not in known.hypotheses:
        raise ArgumentError(f"hypothesis {wanted!r}: {_known_hypotheses(known)}")
    if missing := missing_for(wanted, known):
        return ParsedToolCall(id, premature=wanted, faults=(f"not yet: {missing}",))
    return ParsedToolCall(
        id, favourite=wanted, settled=wanted in known.looked, findings=asked.findings.strip()
    )


def missing_for(hypothesis: str, known: InvestigationState) -> str:
    """What a conclusion with this hypothesis still needs, or an empty string."""
    made, silent = len(known.own()), known.silent()
    won, lost = known.tally(hypothesis)
    if made < FEWEST_EXPERIMENTS:
        return f"{made} experiments could be read; make at least {FEWEST_EXPERIMENTS}"
    if won <= lost:
        return f"{hypothesis} kept {won} predictions and failed {lost}, so it cannot win; test or revise it"
    if silent < made * SILENT_SHARE:
        return f"{silent} of your {made} experiments predicted silence; a third must: predict where U does nothing"
    return ""


def _cannot(
    id: str, asked: tools.CannotExplain, known: InvestigationState, look: str
) -> ParsedToolCall:
    return ParsedToolCall(id, cannot_explain=" ".join(asked.reason.split()))


def _known_hypotheses(known: InvestigationState) -> str:
    if not known.hypotheses:
        return "there is none yet; use propose"
    return f"there is none of that id; the last that were taken are {', '.join(list(known.hypotheses)[-8:])}"


_READERS: Mapping[str, Callable[[str, Any, InvestigationState, str], ParsedToolCall]] = {
    "propose": _propose,
    "experiment": _experiment,
    "challenge": _experiment,
    "conclude": _conclude,
    "cannot_explain": _cannot,
}
