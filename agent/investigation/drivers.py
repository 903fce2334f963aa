"""How the loop works with an explainer. There are two ways:

                  ExplainerDriver                   DialogueDriver
    explainers    formula search, script            language models
    observation   statistics, exemplars, lens       also thresholds and middling contexts
    journal       the whole move                    every reply of the model
    experiments   one by one                        all of a move together, with its instrument calls
    may win       every hypothesis                  those that passed a second look (`eligibility`)

The loop (`loop`) is the same for both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ..explainers.compositional import Compositional
from ..explainers.protocol import AnsweredReply, Conversation, Hypothesis, Move, ToolAnswer
from ..llm.conversation import JournaledReply, Reply
from ..llm.journaled_model import reply_of
from ..runlog.log import canonical
from .eligibility import eligible_hypotheses, reason_without_winner
from .experiment import read_for_model, read_plainly, run_experiments
from .formula_scores import fit_on_explore, grade_on_explore, score_formula, sentence_of
from .inheritance import predictions_that_follow
from .observe import observe_for_model, observe_unit

if TYPE_CHECKING:
    from ...tools.subject.address import Unit
    from ..explainers.protocol import Explainer, InvestigationView
    from ..llm.conversation import Request
    from ..llm.journaled_model import JournaledModel, ReplayModel
    from ..runlog.log import Data
    from .context import InvestigationContext


class ExplainerDriver:
    """For explainers that compute their moves or read them from a script.

    One per run, used by all its threads.
    """

    def __init__(self, context: InvestigationContext, explainer: Explainer) -> None:
        self.context, self.explainer = context, explainer

    def start(self, unit: Unit) -> None:
        """Called before an investigation starts or goes on; raises BudgetReached if it may not."""

    def observe(self, unit: Unit) -> Data:
        """What the explainer is shown of a target; nothing of an artificial one, beyond explore."""
        return {} if self.context.is_null(unit) else observe_unit(self.context, unit)

    def find_competitor(self, view: InvestigationView) -> None:
        """Find and log an explanation to beat, if there is one."""

    def move(self, view: InvestigationView) -> Move:
        """The explainer's next move, from the journal if it was made before."""
        request = {
            "explainer": self.explainer.name,
            "version": self.explainer.version,
            "case": hashlib.sha256(canonical(view.to_json()).encode()).hexdigest(),
        }
        return _journaled_move(self.context, self.explainer, view, request)

    def experiment(self, unit: Unit, move: Move) -> None:
        """Run the experiments of a move."""
        for planned in move.experiments:
            run_experiments(self.context, unit, [planned], read_plainly)

    def eligible(self, unit: Unit) -> set[str]:
        """Ids of the hypotheses that may win."""
        return {str(id) for id in self.context.log.all("hypothesis", str(unit))}

    def reason_without_winner(self, unit: Unit) -> str:
        """Why no hypothesis won, if the explainer gave no reason; "" if there is nothing to say."""
        return ""


class DialogueDriver(ExplainerDriver):
    """For language models. Their replies are journaled; moves are parsed from them again.

    Args:
        model: asks the language model through the journal, or answers from the journal in a replay.
    """

    def __init__(
        self,
        context: InvestigationContext,
        explainer: Explainer,
        model: JournaledModel | ReplayModel,
    ) -> None:
        super().__init__(context, explainer)
        self._model = model

    def start(self, unit: Unit) -> None:
        """Log the retry of a failed target, and check the budget before anything is paid."""
        log, target = self.context.log, str(unit)
        if failure := log.get("failure", target):
            number = len(log.all("retry", target)) + 1
            log.write("retry", {"failure": failure["error"]}, target=target, id=str(number))
        self._model.admit(target)

    def observe(self, unit: Unit) -> Data:
        """Also for artificial targets, whose instruments answer like a real unit's."""
        return observe_for_model(self.context, unit)

    def find_competitor(self, view: InvestigationView) -> None:
        """Log the best formula that the formula search finds, if the run wants a competitor."""
        context = self.context
        if not context.config.competitor:
            return
        search = Compositional(context.config.seed)
        request = self._competitor_request(view.unit) or {
            "explainer": search.name,
            "version": search.version,
            "competitor": True,
        }
        move = _journaled_move(context, search, view, request)
        select = context.data.of(view.unit, "select")
        scores = {
            hypothesis: score_formula(select, hypothesis.predicate)[0]
            for hypothesis in move.hypotheses
            if hypothesis.predicate
        }
        if scores:
            best = max(scores, key=lambda hypothesis: scores[hypothesis])
            competitor = best.to_json() | {"select": scores[best]}
            context.log.write("competitor", competitor, target=str(view.unit))

    def _competitor_request(self, unit: Unit) -> Data | None:
        """The request that was answered before, perhaps by an earlier version of the search."""
        calls = self.context.log.all("explainer_call", str(unit)).values()
        requests = (call["request"] for call in calls)
        return next((request for request in requests if request.get("competitor")), None)

    def move(self, view: InvestigationView) -> Move:
        """Ask for one reply, and parse it."""
        return self.explainer.move(replace(view, conversation=self._conversation(view)))

    def experiment(self, unit: Unit, move: Move) -> None:
        """Run all experiments together, then the instrument calls."""
        run_experiments(self.context, unit, move.experiments, read_for_model)
        self.context.instruments.call_all(unit, move.calls)

    def eligible(self, unit: Unit) -> set[str]:
        """Those that kept more predictions than they failed and were tested by a second look."""
        return eligible_hypotheses(self.context.log, str(unit))

    def reason_without_winner(self, unit: Unit) -> str:
        """Which of the conditions was not met."""
        return reason_without_winner(self.context.log, str(unit))

    def _conversation(self, view: InvestigationView) -> Conversation:
        """What a dialogue needs besides the view: the model, fits and grades, earlier replies."""
        context, unit, target = self.context, view.unit, str(view.unit)
        competitor = context.log.get("competitor", target)
        subject = context.config.subject

        def ask(request: Request) -> JournaledReply:
            with context.waits.measure("model"):
                return self._model.ask(target, request)

        def replies_after(moves: int) -> list[AnsweredReply]:
            return _answered_replies(context, unit, range(moves + 1, view.moves + 1))

        return Conversation(
            ask=ask,
            fit=partial(fit_on_explore, context, unit),
            grade=partial(grade_on_explore, context, unit),
            sentence=partial(sentence_of, context, unit),
            follows=partial(predictions_that_follow, context, unit),
            replies_after=replies_after,
            competitor=Hypothesis.from_json(competitor) if competitor else None,
            competitor_score=competitor["select"] if competitor else None,
            note=context.config.note,
            hidden=tuple(filter(None, (subject.get("title"), subject.get("name")))),
            retries=len(context.log.all("retry", target)),
        )


def _journaled_move(
    context: InvestigationContext, explainer: Explainer, view: InvestigationView, request: Data
) -> Move:
    answer = context.journal.answer(
        "explainer_call", str(view.unit), request, lambda: explainer.move(view).to_json()
    )
    return Move.from_json(answer)


def _answered_replies(
    context: InvestigationContext, unit: Unit, moves: Sequence[int]
) -> list[AnsweredReply]:
    """The replies of some moves, with the results of their instrument calls."""
    target, replies = str(unit), []
    for number in moves:
        row = context.log.get("move", target, str(number))
        move = Move.from_json(row) if row else Move()
        if not move.reply:
            continue
        answers = context.instruments.call_all(unit, move.calls)  # journaled when the move was made
        results = {
            call.id: ToolAnswer(answer["text"], answer["error"])
            for call, answer in zip(move.calls, answers, strict=True)
        }
        reply = Reply.from_json(reply_of(context.log, target, move.reply))
        replies.append(AnsweredReply(JournaledReply(move.reply, reply), results, move.look))
    return replies
