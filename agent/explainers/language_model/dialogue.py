"""The conversation of one investigation, built anew from its case at every move.

1. The first message shows what the unit does on the corpus, and the explanation to beat.
2. Each reply so far is read again, and answered with what the log says came of it: outcomes,
   results, scores, repairs.
3. What stands at the end is the next request. Messages are only ever appended, so that providers
   can cache the prefix.

A second look is a conversation of its own beside it: it shows the claim and nothing of how it came
about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .... import prompts
from ....tools.errors import HubelError
from ...llm.conversation import (
    AssistantMessage,
    Reply,
    Request,
    ToolResult,
    ToolResults,
    UserMessage,
)
from ..protocol import Conversation, InvestigationView, Turn
from . import parse_reply, prompt_text, tools
from .aliases import Aliases
from .parse_reply import InvestigationState, ParsedToolCall

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...llm.conversation import Message
    from ..protocol import Experiment, ExploreFit, Hypothesis

MOST_REPLIES = 24
"""Replies that one investigation may take, second looks not counted; good ones need four to eight."""
TRIES = 3
"""Replies in a row of which nothing could be used, before the target is a failure."""
MAX_TOKENS = 4096
"""Of one reply, thinking included where a provider counts it so."""
MAIN = ("propose", "experiment", "conclude", "cannot_explain")


class Unusable(HubelError):
    """The language model's replies cannot be used, however often it is asked."""


@dataclass(frozen=True)
class ParsedTurn:
    """A reply that was read, with the turn that holds its results."""

    parts: Sequence[ParsedToolCall]
    turn: Turn


@dataclass
class Thread:
    """One line of conversation: what was said, and the last reply if it waits for its answer."""

    system: str
    label: str
    own: tuple[str, ...]
    messages: list[Message]
    waiting: ParsedTurn | None = None
    """The last reply's parts, as long as they have no answer."""
    replies: int = 0
    faults: int = 0
    """Replies in a row of which nothing could be used."""
    last_fault: str = ""


class Dialogue:
    """All that was said about a target so far, and what may be said next."""

    def __init__(self, case: InvestigationView, conversation: Conversation) -> None:
        self.case, self.conversation = case, conversation
        aliases = Aliases(case.target, conversation.hidden)
        outcomes = {str(o["experiment"]): o for o in case.outcomes}
        levels = {side: found[1] for side, found in case.observation.get("thresholds", {}).items()}
        self.known = InvestigationState(
            aliases, conversation.fit, conversation.grade, outcomes=outcomes, levels=levels
        )
        self.evidence = {"r1": prompt_text.statistics(case), "r2": prompt_text.evidence(case)}
        self.main = self._thread("experimenter", MAIN, self._opening())
        if conversation.note:
            self.main.messages.append(
                UserMessage(aliases.hide(prompt_text.note(conversation.note)))
            )
        self.looks: dict[str, Thread] = {}
        self.stubborn = 0
        """Replies in a row that only conclude, too early."""
        self.favourite = ""
        """The hypothesis that waits for its second look."""
        for turn in conversation.turns:
            self._hear(turn)

    def request(self) -> Request:
        """What to ask next, in whichever conversation it is due.

        Raises:
            Unusable: too many replies in a row could not be used.
        """
        thread = self._look(self.favourite) if self.favourite else self.main
        allowed = TRIES * (1 + self.conversation.retries)
        if thread.faults >= allowed or (thread is not self.main and thread.replies >= allowed):
            raise Unusable(
                f"the language model's last {max(thread.faults, 1)} replies could not be used: "
                f"{thread.last_fault or 'a second look made no experiment'}"
            )
        self._answer(thread)
        return Request(
            system=thread.system,
            messages=tuple(thread.messages),
            tools=tools.schemas(*thread.own),
            max_tokens=MAX_TOKENS,
            prompt=thread.label,
            tool_choice="any",
        )

    @property
    def over(self) -> bool:
        """Whether it ends here: the replies are used up, or the model insists on what cannot win."""
        return not self.favourite and (self.replies_left <= 0 or self.stubborn >= TRIES)

    @property
    def replies_left(self) -> int:
        """Replies that the investigation may still take, second looks not counted."""
        return MOST_REPLIES - self.main.replies

    def _thread(self, name: str, own: tuple[str, ...], values: dict[str, str]) -> Thread:
        prompt = prompts.load(name)
        filled = prompt.fill(**values)
        return Thread(
            filled.system,
            f"{prompt.label}#{prompt.sha256}",
            own,
            [UserMessage(self.known.aliases.hide(filled.user))],
        )

    def _opening(self) -> dict[str, str]:
        rival = self.conversation.competitor
        return {
            "sides": prompt_text.sides(self.case),
            "statistics": self.evidence["r1"],
            "evidence": self.evidence["r2"],
            "competitor": prompt_text.competitor(rival, self.conversation.competitor_score),
            "replies": str(MOST_REPLIES),
        }

    def _look(self, hypothesis: str) -> Thread:
        """The conversation of a second look, which begins with the claim and nothing else."""
        if hypothesis not in self.looks:
            claim = self.known.hypotheses[hypothesis]
            values = {
                "sides": prompt_text.sides(self.case),
                "statistics": prompt_text.statistics(self.case),
                "sentence": claim.sentence,
                "predicate": claim.predicate or "none was given",
                "tried": prompt_text.tried(self._challenges()),
            }
            self.looks[hypothesis] = self._thread("second_look", ("challenge",), values)
        return self.looks[hypothesis]

    # what was said

    def _hear(self, turn: Turn) -> None:
        reply = Reply.from_json(turn.reply)
        thread = self._look(turn.look) if turn.look else self.main
        self._answer(thread)
        thread.replies += 1
        if why := parse_reply.unusable(reply):
            thread.faults, thread.last_fault = thread.faults + 1, why
            thread.messages.append(
                UserMessage(f"Your last reply could not be used and is left out here: {why}.")
            )
            return
        parts = parse_reply.read(reply, self.known, turn.look)
        thread.faults = 0 if any(part.usable for part in parts) else thread.faults + 1
        only_concludes = all(part.premature for part in parts)
        self.stubborn = self.stubborn + 1 if only_concludes and not turn.look else 0
        thread.last_fault = "; ".join(fault for part in parts for fault in part.faults)
        thread.messages.append(AssistantMessage(reply))
        thread.waiting = ParsedTurn(parts, turn)
        self._gather(thread.waiting)
        self._gather_standing()
        if turn.look:
            self.favourite = "" if turn.look in self.known.looked else turn.look
        else:
            self.favourite = next((p.favourite for p in parts if p.favourite and not p.settled), "")
        if not self.favourite:
            self._answer(thread)

    def _gather(self, heard: ParsedTurn) -> None:
        """Keep what may be cited, under its id."""
        for part in heard.parts:
            if part.instrument and (found := heard.turn.results.get(part.call)):
                self.evidence[part.result] = self.known.aliases.hide(found.text)
            for planned in part.experiments:
                if (outcome := self.known.outcomes.get(planned.id)) is not None:
                    texts = [planned.passage.text, *([planned.other.text] if planned.other else [])]
                    self.evidence[planned.id] = " | ".join(
                        [prompt_text.outcome(planned, outcome), *texts]
                    )

    def _gather_standing(self) -> None:
        """What the program said of each hypothesis: how it stands, and its correlations."""
        for id, hypothesis in self.known.hypotheses.items():
            won, lost = self.known.tally(id)
            fit = self._fit(hypothesis)
            parts = [f"{won} for {lost} against", f"{won} of {won + lost}"]
            parts += [f"correlation {fit.score:.2f}"] if fit and fit.score is not None else []
            parts += [f"scores {found.score:.3f}"] if (found := self.case.feedback.get(id)) else []
            self.evidence[id] = "; ".join(parts)

    # what is answered

    def _answer(self, thread: Thread) -> None:
        """Answer the reply that waits, every tool call of it."""
        if thread.waiting is None:
            return
        heard, thread.waiting = thread.waiting, None
        texts = [self._text(part) for part in heard.parts]
        texts[-1] = f"{texts[-1]}\n{self._status()}" if thread is self.main else texts[-1]
        results = [
            ToolResult(
                part.call,
                text,
                error=bool(part.faults) and (bool(part.premature) or not part.usable),
            )
            for part, text in zip(heard.parts, texts, strict=True)
        ]
        thread.messages.append(ToolResults(tuple(results)))

    def _text(self, part: ParsedToolCall) -> str:
        lines = list(part.faults)
        lines += (
            [prompt_text.fits([(h, self._fit(h)) for h in part.hypotheses])]
            if part.hypotheses
            else []
        )
        lines += [self._outcome(e) for e in part.experiments]
        if part.instrument:
            lines.append(
                prompt_text.answer(part.result, self.evidence.get(part.result, "no answer"))
            )
        if part.favourite:
            lines.append(self._verdict_so_far(part.favourite))
        return "\n".join(lines)

    def _fit(self, hypothesis: Hypothesis) -> ExploreFit | None:
        return self.known.fit(hypothesis.predicate) if hypothesis.predicate else None

    def _outcome(self, planned: Experiment) -> str:
        found = self.known.outcomes.get(planned.id)
        return prompt_text.outcome(planned, found) if found else f"{planned.id}: not made"

    def _challenges(self) -> list[Experiment]:
        """What second looks tried, in the order in which they did."""
        return [e for e in self.known.experiments.values() if e.id in self.known.challenges]

    def _verdict_so_far(self, favourite: str) -> str:
        """What the second look and select say of the favourite, and of its rivals."""
        mine = [
            prompt_text.challenge(e, found)
            for e in self._challenges()
            if e.hypothesis == favourite and (found := self.known.outcomes.get(e.id))
        ]
        scores = [
            prompt_text.feedback(self.known.hypotheses[id], found)
            for id, found in self.case.feedback.items()
            if id == favourite
        ]
        missing = parse_reply.missing_for(favourite, self.known)
        ask = (
            f"It cannot win yet: {missing}."
            if missing
            else "Revise it, or conclude with it again to stay with it."
        )
        return "\n".join(["The second look tested it:", *mine, *scores, ask])

    def _status(self) -> str:
        known = self.known
        stands = {id: known.tally(id) for id in known.hypotheses}
        tallies = "; ".join(
            f"{id} {won} for {lost} against" for id, (won, lost) in stands.items() if won or lost
        )
        made, silent = len(known.own()), known.silent()
        return (
            f"({made} experiments of yours, {silent} predicted silence. {tallies or 'No hypothesis was tested yet'}. "
            f"{self.replies_left} replies left.)"
        )
