"""The loop, on one page: how one target is investigated.

    observe -> propose -> experiment -> select -> verify -> conclude
                  ^            |           |
                  |__ not yet _|           |       the explainer wants to see the outcomes first
                  |________ revise ________|       the explainer has seen its score on select, and has rounds left

1. observe     instruments look at explore: statistics, exemplars of both sides, what the unit writes
2. propose     the explainer makes a move: hypotheses, and experiments with the outcome that each predicts
3. experiment  the prediction is written to the log, then the instrument is called, then code compares the two
4. select      every hypothesis is simulated on the select split; the explainer sees its score and worst misses;
               of a language model's, only those can win that kept more predictions than they failed (`eligibility`)
5. verify      the best hypothesis is scored on holdout, once
6. conclude    explanation, scores and p are written; the verdict falls over the whole run (`verify`)

The graph's state holds ids; what they stand for is in the run log. A step that is interrupted runs
again from its first line and finds in the journal what was answered before, so nothing is asked
for, or paid for, twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Required, TypedDict

from ..explainers.predictions import VOID, adjudicate
from ..explainers.protocol import Feedback, Hypothesis, InvestigationView, Move
from .eligibility import eligible_hypotheses, no_progress, reason_without_winner
from .experiment import run_experiments
from .observe import find_competitor, observe_target
from .verify import conclude_target, verify_target

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph.state import CompiledStateGraph

    from ..explainers.protocol import Experiment
    from .context import InvestigationContext


class LoopState(TypedDict, total=False):
    """Ids and counters of one investigation; payloads are in the run log."""

    target: Required[str]
    move: int
    round: int
    ready: bool
    settled: bool
    winner: str
    reason: str
    best: list[float]
    """The best score on select after each round."""


Update = dict[str, Any]
"""The fields of the state that a step changes."""


def build_graph(
    room: InvestigationContext, checkpointer: BaseCheckpointSaver[Any]
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The investigation as a LangGraph graph, one thread a target.

    Args:
        room: what the steps work with: log, journal, data, explainer, instruments.
        checkpointer: where the states go after each step.
    """
    from langgraph.graph import END, START, StateGraph

    graph = StateGraph(LoopState)
    for step in (observe, propose, experiment, select, verify, conclude):
        graph.add_node(step.__name__, _bound(step, room))
    graph.add_edge(START, "observe")
    graph.add_edge("observe", "propose")
    graph.add_edge("propose", "experiment")
    graph.add_conditional_edges(
        "experiment", lambda state: _after_experiment(state, room), ["propose", "select"]
    )
    graph.add_conditional_edges(
        "select", lambda state: _after_select(state, room), ["propose", "verify"]
    )
    graph.add_edge("verify", "conclude")
    graph.add_edge("conclude", END)
    return graph.compile(checkpointer=checkpointer)


def _bound(step: Any, room: InvestigationContext) -> Any:
    def run(state: LoopState) -> Update:
        room.check_stopped()
        return step(room, state)

    run.__name__ = step.__name__
    return run


def _after_experiment(state: LoopState, room: InvestigationContext) -> str:
    ready = state.get("ready", True) or state.get("move", 0) % room.explainer.moves_a_round == 0
    return "select" if ready else "propose"


def _after_select(state: LoopState, room: InvestigationContext) -> str:
    ended = state.get("reason") or state.get("settled") or no_progress(state.get("best", []))
    wants_more = not ended and room.explainer.revises
    return "propose" if wants_more and state.get("round", 0) < room.config.rounds else "verify"


def observe(room: InvestigationContext, state: LoopState) -> Update:
    """Look at the target through instruments, on explore."""
    target = state["target"]
    observe_target(room, target)
    if room.explainer.converses and room.config.competitor:
        find_competitor(room, target, _case(room, state))
    return {"move": 0, "round": 0}


def propose(room: InvestigationContext, state: LoopState) -> Update:
    """Let the explainer make its next move, and write down its hypotheses."""
    target, number = state["target"], state.get("move", 0) + 1
    move = room.ask_explainer(_case(room, state))
    room.log.write("move", move.to_json(), target=target, id=str(number))
    for hypothesis in move.hypotheses:
        room.check_hypothesis(hypothesis)
        room.log.write(
            "hypothesis",
            vars(hypothesis) | {"round": state.get("round", 0)},
            target=target,
            id=hypothesis.id,
        )
    return {
        "move": number,
        "ready": move.ready,
        "settled": move.settled,
        "reason": move.cannot_explain,
    }


def experiment(room: InvestigationContext, state: LoopState) -> Update:
    """Run the experiments of the last move: prediction first, then the call, then the comparison."""
    target, move = state["target"], _last_move(room, state)
    if room.explainer.converses:
        run_experiments(room, target, move.experiments)
        room.consult_all(target, move.calls)
        return {}
    for planned in move.experiments:
        _run_experiment(room, target, planned)
    return {}


def _run_experiment(room: InvestigationContext, target: str, planned: Experiment) -> None:
    prediction = Move(experiments=(planned,)).to_json()["experiments"][0]
    room.log.write("prediction", prediction | {"call": planned.call}, target=target, id=planned.id)
    readings = room.read_texts(target, planned.call["arguments"]["texts"])
    thresholds = room.thresholds(target, planned.side)
    outcome = adjudicate(planned, readings, thresholds) if readings else VOID
    identity = {"experiment": planned.id, "hypothesis": planned.hypothesis}
    room.log.write("outcome", identity | outcome, target=target, id=planned.id)


def select(room: InvestigationContext, state: LoopState) -> Update:
    """Simulate every hypothesis on the select split and keep the best."""
    target = state["target"]
    best, winner = float("-inf"), ""
    allowed = None if not room.explainer.converses else eligible_hypotheses(room.log, target)
    for hypothesis in _hypotheses(room, target):
        value = room.select_value(target, hypothesis)
        if value is not None and value > best and (allowed is None or hypothesis.id in allowed):
            best, winner = value, hypothesis.id
    rounds = [*state.get("best", []), *([best] if winner else [0.0])]
    return {"winner": winner, "round": state.get("round", 0) + 1, "best": rounds}


def verify(room: InvestigationContext, state: LoopState) -> Update:
    """Score the winner on holdout, once."""
    if state.get("winner"):
        verify_target(
            room, state["target"], _hypothesis(room, state["target"], state.get("winner", ""))
        )
    return {}


def conclude(room: InvestigationContext, state: LoopState) -> Update:
    """Write what was found. "We don't know" is a good answer."""
    target, winner = state["target"], state.get("winner", "")
    found = _hypothesis(room, target, winner) if winner else None
    reason = (state.get("reason") or reason_without_winner(room, target)) if found is None else ""
    conclude_target(room, target, found, reason)
    return {}


def _case(room: InvestigationContext, state: LoopState) -> InvestigationView:
    target = state["target"]
    hypotheses = _hypotheses(room, target)
    feedback = {
        h.id: f for h in hypotheses if (f := room.log.get("feedback", target, h.id)) is not None
    }
    return InvestigationView(
        target=target,
        side=room.side(target),
        round=state.get("round", 0),
        moves=state.get("move", 0),
        seed=room.seed(target),
        observation=room.log.get("observation", target) or {},
        hypotheses=hypotheses,
        outcomes=tuple(room.log.all("outcome", target).values()),
        feedback={i: Feedback(f["score"], tuple(f["worst"])) for i, f in feedback.items()},
        explore=lambda: room.data("explore", target),
        conversation=room.conversation(target, _moves(room, state))
        if room.explainer.converses
        else None,
    )


def _moves(room: InvestigationContext, state: LoopState) -> list[Move]:
    found = (
        room.log.get("move", state["target"], str(n)) for n in range(1, state.get("move", 0) + 1)
    )
    return [Move.from_json(data) for data in found if data is not None]


def _hypotheses(room: InvestigationContext, target: str) -> tuple[Hypothesis, ...]:
    names = Hypothesis.__dataclass_fields__
    return tuple(
        Hypothesis(**{k: v for k, v in data.items() if k in names})
        for data in room.log.all("hypothesis", target).values()
    )


def _hypothesis(room: InvestigationContext, target: str, id: str) -> Hypothesis:
    return next(h for h in _hypotheses(room, target) if h.id == id)


def _last_move(room: InvestigationContext, state: LoopState) -> Move:
    return Move.from_json(
        room.log.get("move", state["target"], str(state.get("move"))) or Move().to_json()
    )
