"""The conversation of one investigation, built from the log alone and extended at every move.

1. The first message shows what the unit does on the corpus, and the explanation to beat.
2. Each reply so far is parsed, and answered with what the log says came of it: outcomes, results,
   scores, repairs.
3. What comes at the end is the next request. A turn is shortened once, when the next reply has come
   (`thread`, `shorten`), so that providers can cache what is before the last turn, and so that a
   resumed run sends the same requests and pays for none twice.
4. All requests of one target together have at most PROMPT_TOKENS. The model is told how many replies
   that leaves.

A second look is a separate conversation: it shows the claim and nothing of how it came about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .... import prompts
from ....tools.errors import HubelError
from ...llm.conversation import AssistantMessage, ToolResult, ToolResults, UserMessage
from ...llm.token_estimate import request_tokens
from . import parse_reply, prompt_text
from .aliases import Aliases
from .concept_list import concept_list
from .parse_reply import ParsedReply, ParsedToolCall
from .shorten import shorten_turn
from .state import InvestigationState
from .thread import ConversationThread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...llm.conversation import JournaledReply, Request
    from ..protocol import (
        AnsweredReply,
        Conversation,
        Experiment,
        ExploreFit,
        Hypothesis,
        InvestigationView,
        ToolAnswer,
    )

MAX_REPLIES = 16
"""Replies that one investigation may take, second looks not counted; good ones need four to eight."""
PROMPT_TOKENS = 60_000
"""Prompt tokens that the requests of one investigation may have in all, second looks included."""
TRIES = 3
"""Unusable replies in a row before the target is a failure."""


class Unusable(HubelError):
    """The language model's replies cannot be used, however often it is asked."""


class Dialogue:
    """All that was said about a target so far, and what comes next."""

    def __init__(self, view: InvestigationView, conversation: Conversation) -> None:
        self.view, self.conversation = view, conversation
        thresholds = view.observation.get("thresholds", {})
        self.state = InvestigationState(
            Aliases(view.unit, conversation.hidden),
            conversation.fit,
            conversation.grade,
            firing_levels={side: row["fires"] for side, row in thresholds.items()},
            sentence=conversation.sentence,
            follows=conversation.follows,
        )
        self.evidence = {"r1": prompt_text.statistics(view), "r2": prompt_text.evidence(view)}
        """What findings may cite, by id."""
        self.main = self._thread("experimenter", parse_reply.MAIN_TOOLS, self._opening())
        if conversation.note:
            note = self.state.aliases.hide(prompt_text.note(conversation.note))
            self.main.opening.append(UserMessage(note))
        self.looks: dict[str, ConversationThread] = {}
        self.premature = 0
        """Replies in a row that only conclude, too early."""
        self.favourite = ""
        """The hypothesis that waits for its second look."""
        self._spent, self._estimated = 0, 0
        """Prompt tokens of the requests so far as the server counts them, and as estimated."""
        self._moves = 0
        """Moves of this target whose replies are part of the conversation."""
        self._parsed: dict[str, ParsedReply] = {}
        """Replies that were parsed and are not yet part of the conversation, by journal key."""

    def catch_up(self, view: InvestigationView, conversation: Conversation) -> None:
        """Extend the conversation by what happened since the last move."""
        self.view, self.conversation = view, conversation
        self.state.outcomes = {str(outcome["experiment"]): outcome for outcome in view.outcomes}
        for answered in conversation.replies_after(self._moves):
            self._add(answered)
        self._moves = view.moves

    def parse(self, reply: JournaledReply, look: str) -> ParsedReply:
        """Parse a reply that comes next in the conversation. Each reply is parsed once."""
        if reply.key not in self._parsed:
            self._parsed[reply.key] = parse_reply.parse_reply(reply, self.state, look)
        return self._parsed[reply.key]

    def request(self) -> Request:
        """What to ask next, in whichever conversation is due.

        Raises:
            Unusable: too many replies in a row could not be used.
        """
        thread = self._due()
        allowed = TRIES * (1 + self.conversation.retries)
        second_look_failed = thread is not self.main and thread.replies >= allowed
        if thread.faults >= allowed or second_look_failed:
            raise Unusable(
                f"the language model's last {max(thread.faults, 1)} replies could not be used: "
                f"{thread.last_fault or 'a second look made no experiment'}"
            )
        self._answer(thread)
        return thread.request()

    @property
    def over(self) -> bool:
        """Whether it ends here: no replies are left, or the model insists on what cannot win."""
        if self._tokens_left() < self._tokens_of(self._due()):
            return True
        return not self.favourite and (self.replies_left <= 0 or self.premature >= TRIES)

    @property
    def replies_left(self) -> int:
        """Replies that the investigation may still take, second looks not counted."""
        affordable = self._tokens_left() // max(1, self._tokens_of(self.main))
        return max(0, min(MAX_REPLIES - self.main.replies, affordable))

    def _tokens_left(self) -> int:
        return PROMPT_TOKENS - self._spent

    def _tokens_of(self, thread: ConversationThread) -> int:
        """Tokens of a thread's next request, as this server is likely to count them."""
        rate = self._spent / self._estimated if self._estimated else 1.0
        return round(rate * request_tokens(thread.request()))

    def _due(self) -> ConversationThread:
        return self._look(self.favourite) if self.favourite else self.main

    # 1. how a conversation begins

    def _thread(
        self, name: str, own_tools: tuple[str, ...], values: dict[str, str]
    ) -> ConversationThread:
        prompt = prompts.load(name)
        filled = prompt.fill(**values)
        opening = UserMessage(self.state.aliases.hide(filled.user))
        return ConversationThread(
            filled.system, f"{prompt.label}#{prompt.sha256}", own_tools, [opening]
        )

    def _opening(self) -> dict[str, str]:
        conversation = self.conversation
        competitor = prompt_text.competitor(conversation.competitor, conversation.competitor_score)
        return {
            "concepts": concept_list(),
            "sides": prompt_text.side_to_explain(self.view),
            "statistics": self.evidence["r1"],
            "evidence": self.evidence["r2"],
            "competitor": competitor,
            "replies": str(MAX_REPLIES),
        }

    def _look(self, hypothesis: str) -> ConversationThread:
        """The conversation of a second look, which begins with the claim and nothing else."""
        if hypothesis not in self.looks:
            claim = self.state.hypotheses[hypothesis]
            values = {
                "sides": prompt_text.side_to_explain(self.view),
                "statistics": prompt_text.statistics(self.view),
                "sentence": claim.words,
                "predicate": claim.predicate or "none was given",
                "tried": prompt_text.tested_texts(self._challenges()),
            }
            thread = self._thread("second_look", parse_reply.LOOK_TOOLS, values)
            self.looks[hypothesis] = thread
        return self.looks[hypothesis]

    # 2. how a reply becomes part of it

    def _add(self, answered: AnsweredReply) -> None:
        """Add one reply to its thread: the main one, or the second look at a favourite hypothesis."""
        thread = self._look(answered.look) if answered.look else self.main
        self._answer(thread)
        estimated = request_tokens(thread.request())
        usage = answered.journaled.reply.usage
        self._estimated += estimated
        self._spent += usage.input if usage else estimated
        thread.replies += 1
        parsed = self.parse(answered.journaled, answered.look)
        del self._parsed[answered.journaled.key]
        if parsed.unusable:
            thread.faults, thread.last_fault = thread.faults + 1, parsed.unusable
            left_out = f"Your last reply could not be used and is left out here: {parsed.unusable}."
            thread.recent.append(UserMessage(left_out))
            return
        if thread is self.main:
            self._shorten()
        calls = parsed.calls
        thread.faults = 0 if any(call.usable for call in calls) else thread.faults + 1
        thread.last_fault = "; ".join(fault for call in calls for fault in call.faults)
        only_concludes = all(call.premature for call in calls)
        self.premature = self.premature + 1 if only_concludes and not answered.look else 0
        thread.recent.append(AssistantMessage(answered.journaled.reply))
        thread.unanswered = thread.last_calls = calls
        self._collect_evidence(calls, answered.results)
        if answered.look:
            self.favourite = "" if answered.look in self.state.looked else answered.look
        else:
            unsettled = (c.favourite for c in calls if c.favourite and not c.settled)
            self.favourite = next(unsettled, "")
        if not self.favourite:  # else the reply is answered when the second look is over
            self._answer(thread)

    def _shorten(self) -> None:
        """Replace the last turn by a few lines, now that a newer one has come."""
        main = self.main
        if main.last_calls:
            turn = shorten_turn(main.last_calls, self.state, self.evidence, self.view)
            if turn:
                main.ledger.append(UserMessage(self.state.aliases.hide(turn)))
        main.recent.clear()

    def _collect_evidence(
        self, calls: Sequence[ParsedToolCall], results: Mapping[str, ToolAnswer]
    ) -> None:
        """Keep what findings may cite: results, outcomes, and how each hypothesis is doing."""
        for call in calls:
            if call.instrument and (result := results.get(call.call)):
                self.evidence[call.result] = self.state.aliases.hide(result.text)
            for planned in call.experiments:
                if (outcome := self.state.outcomes.get(planned.id)) is not None:
                    lines = [prompt_text.outcome(planned, outcome), *planned.texts]
                    self.evidence[planned.id] = " | ".join(lines)
        for id, hypothesis in self.state.hypotheses.items():
            kept, failed = self.state.tally(id)
            facts = [f"{kept} for {failed} against", f"{kept} of {kept + failed}"]
            fit = self._fit(hypothesis)
            if fit and fit.score is not None:
                facts.append(f"correlation {fit.score:.2f}")
            if feedback := self.view.feedback.get(id):
                facts.append(f"scores {feedback.score:.3f}")
            self.evidence[id] = "; ".join(facts)

    # 3. how a reply is answered

    def _answer(self, thread: ConversationThread) -> None:
        """Answer the last reply if it is unanswered, every tool call of it."""
        calls, thread.unanswered = thread.unanswered, ()
        if not calls:
            return
        texts = [self._text(call) for call in calls]
        if thread is self.main:
            texts[-1] = f"{texts[-1]}\n{self._status()}"
        results = []
        for call, text in zip(calls, texts, strict=True):
            failed = bool(call.faults) and (bool(call.premature) or not call.usable)
            results.append(ToolResult(call.call, text, error=failed))
        thread.recent.append(ToolResults(tuple(results)))

    def _text(self, call: ParsedToolCall) -> str:
        """The answer to one tool call, as the model reads it."""
        lines = list(call.faults)
        if call.hypotheses:
            lines.append(prompt_text.fits([(h, self._fit(h)) for h in call.hypotheses]))
            lines += filter(None, map(self._inherited, call.hypotheses))
        for planned in call.experiments:
            outcome = self.state.outcomes.get(planned.id)
            not_made = f"{planned.id}: not made"
            lines.append(prompt_text.outcome(planned, outcome) if outcome else not_made)
        if call.instrument:
            result = self.evidence.get(call.result, "no answer")
            lines.append(prompt_text.instrument_result(call.result, result))
        if call.favourite:
            lines.append(self._verdict_so_far(call.favourite))
        return "\n".join(lines)

    def _fit(self, hypothesis: Hypothesis) -> ExploreFit | None:
        return self.state.fit(hypothesis.predicate) if hypothesis.predicate else None

    def _inherited(self, revision: Hypothesis) -> str:
        """Which experiments a revision takes over from its parent."""
        if revision.parent is None or not (earlier := self.state.experiments_of(revision.parent)):
            return ""
        return prompt_text.inherited(revision, [e.id for e in earlier], self.state.outcomes)

    def _challenges(self) -> list[Experiment]:
        """The experiments of second looks, in order."""
        return [e for e in self.state.experiments.values() if e.id in self.state.challenges]

    def _verdict_so_far(self, favourite: str) -> str:
        """What the second look and select say of the favourite."""
        lines = ["The second look tested it:"]
        for planned in self._challenges():
            outcome = self.state.outcomes.get(planned.id)
            if planned.hypothesis == favourite and outcome:
                lines.append(prompt_text.challenge(planned, outcome))
        if feedback := self.view.feedback.get(favourite):
            lines.append(prompt_text.feedback(self.state.hypotheses[favourite], feedback))
        if missing := self.state.missing_evidence(favourite):
            lines.append(f"It cannot win yet: {missing}.")
        else:
            lines.append("Revise it, or conclude with it again to stay with it.")
        return "\n".join(lines)

    def _status(self) -> str:
        state = self.state
        tallies = {id: state.tally(id) for id in state.hypotheses}
        tested = "; ".join(
            f"{id} {kept} for {failed} against"
            for id, (kept, failed) in tallies.items()
            if kept or failed
        )
        return (
            f"({len(state.own_experiments())} experiments of yours, "
            f"{state.n_silent()} predicted silence. {tested or 'No hypothesis was tested yet'}. "
            f"{self.replies_left} replies left.)"
        )
