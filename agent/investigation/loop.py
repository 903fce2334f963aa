"""The loop, on one page: how one target is investigated.

    observe -> propose -> experiment -> select -> verify -> conclude
                  ^            |           |
                  |__ not yet _|           |    the explainer wants to see the outcomes first
                  |________ revise ________|    it has seen its score on select, and has rounds left

1. observe     instruments look at explore: statistics, exemplars of both sides, what the unit writes
2. propose     the explainer makes a move: hypotheses, and experiments with predicted outcomes
3. experiment  a prediction is logged, then the instrument is called, then code compares the two
4. select      every hypothesis is scored on the select split; the explainer sees its score and worst
               errors; of a language model's hypotheses only those can win that kept more predictions
               than they failed (`eligibility`)
5. verify      the best hypothesis is scored on holdout, once
6. conclude    explanation, scores and p are written; verdicts are decided over the whole run

Each step is one function below: it takes the state of the investigation and returns the fields that
it changes. `build_graph` wires them into a LangGraph graph exactly as drawn: a node per step, fixed
edges, and two conditional edges (`_after_experiment`, `_after_select`) for the two arrows that go
back. `graph.invoke` (in `run.execute`) runs the nodes along the edges until conclude, and saves the
state after each one, so that a killed run goes on at the step where it was. That is all LangGraph
does here.

The state holds ids and counters; what they refer to is in the run log. A step that was interrupted
runs again from its first line and finds in the journal what was answered before, so nothing is paid
for twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Required, TypedDict

from langgraph.graph import END, START, StateGraph

from ...tools.dissection import Predicate
from ...tools.dissection.statement import MAX_WORDS, word_count
from ...tools.errors import ArgumentError
from ..explainers.protocol import Feedback, Hypothesis, InvestigationView, Move
from .conclude import conclude_target
from .eligibility import no_progress
from .select import select_winner
from .verify import score_list, verify_target

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph.state import CompiledStateGraph

    from ...tools.subject.address import Unit
    from .context import InvestigationContext
    from .drivers import ExplainerDriver


class LoopState(TypedDict, total=False):
    """Ids and counters of one investigation; payloads are in the run log."""

    target: Required[str]
    move: int
    """Moves made so far; also the number of the last one."""
    round: int
    """Visits to select so far."""
    ready: bool
    settled: bool
    winner: str
    reason: str
    best: list[float]
    """The best score on select after each round."""


Update = dict[str, Any]
"""The fields of the state that a step changes."""
Step = Callable[["ExplainerDriver", "Unit", LoopState], Update]


def build_graph(
    driver: ExplainerDriver, checkpointer: BaseCheckpointSaver[Any]
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The investigation as a LangGraph graph; each target runs through it in its own thread.

    Args:
        driver: the explainer, and what the steps work with (`driver.context`).
        checkpointer: saves the state after each step.
    """
    graph = StateGraph(LoopState)
    steps: dict[str, Step] = {
        "observe": observe,
        "propose": propose,
        "experiment": experiment,
        "select": select,
        "verify": verify,
        "conclude": conclude,
    }
    for name, step in steps.items():
        graph.add_node(name, _node(name, step, driver))
    graph.add_edge(START, "observe")
    graph.add_edge("observe", "propose")
    graph.add_edge("propose", "experiment")
    graph.add_conditional_edges("experiment", _after_experiment(driver), ["propose", "select"])
    graph.add_conditional_edges("select", _after_select(driver), ["propose", "verify"])
    graph.add_edge("verify", "conclude")
    graph.add_edge("conclude", END)
    return graph.compile(checkpointer=checkpointer)


def _node(name: str, step: Step, driver: ExplainerDriver) -> Any:
    """A step as a node of the graph, which has the state as its only argument."""

    def run(state: LoopState) -> Update:
        driver.context.raise_if_stopped()
        driver.context.enter_step(state["target"], name)
        with driver.context.clock.step(name):
            return step(driver, driver.context.units[state["target"]], state)

    return run


def _after_experiment(driver: ExplainerDriver) -> Callable[[LoopState], str]:
    """Select once the explainer is ready or has used up the round's moves; else it moves again."""

    def next_step(state: LoopState) -> str:
        moves_used_up = state.get("move", 0) % driver.explainer.moves_a_round == 0
        return "select" if state.get("ready", True) or moves_used_up else "propose"

    return next_step


def _after_select(driver: ExplainerDriver) -> Callable[[LoopState], str]:
    """Revise while there are rounds left, unless the explainer gave up, settled or gets no better."""

    def next_step(state: LoopState) -> str:
        ended = state.get("reason") or state.get("settled") or no_progress(state.get("best", []))
        rounds_left = state.get("round", 0) < driver.context.config.rounds
        revise = driver.explainer.revises and rounds_left and not ended
        return "propose" if revise else "verify"

    return next_step


def observe(driver: ExplainerDriver, unit: Unit, state: LoopState) -> Update:
    """Look at the target through instruments, on explore."""
    context = driver.context
    context.log.write("observation", driver.observe(unit), target=str(unit))
    driver.find_competitor(_view(context, unit, state))
    return {"move": 0, "round": 0}


def propose(driver: ExplainerDriver, unit: Unit, state: LoopState) -> Update:
    """Let the explainer make its next move, and log its hypotheses."""
    log, target = driver.context.log, str(unit)
    number = state.get("move", 0) + 1
    move = driver.move(_view(driver.context, unit, state))
    log.write("move", move.to_json(), target=target, id=str(number))
    for hypothesis in move.hypotheses:
        _check(hypothesis)
        row = hypothesis.to_json() | {"round": state.get("round", 0)}
        log.write("hypothesis", row, target=target, id=hypothesis.id)
        driver.context.show_first(target, hypothesis.sentence)
    return {
        "move": number,
        "ready": move.ready,
        "settled": move.settled,
        "reason": move.cannot_explain,
    }


def _check(hypothesis: Hypothesis) -> None:
    """Raise ArgumentError if the sentence is too long, UsageError if the predicate cannot be read."""
    words = word_count(hypothesis.sentence)
    if not 0 < words <= MAX_WORDS:
        raise ArgumentError(
            f"the sentence has {words} words; give 1 to {MAX_WORDS}: {hypothesis.sentence!r}"
        )
    if hypothesis.predicate is not None:
        Predicate.parse(hypothesis.predicate)


def experiment(driver: ExplainerDriver, unit: Unit, state: LoopState) -> Update:
    """Run the experiments of the last move: prediction first, then the call, then the comparison."""
    row = driver.context.log.get("move", str(unit), str(state.get("move")))
    if row is not None:
        driver.experiment(unit, Move.from_json(row))
    return {}


def select(driver: ExplainerDriver, unit: Unit, state: LoopState) -> Update:
    """Score every hypothesis on the select split and keep the best."""
    context = driver.context
    hypotheses = _hypotheses(context, unit)
    selection = select_winner(context, unit, hypotheses, driver.eligible(unit))
    return {
        "winner": selection.winner,
        "round": state.get("round", 0) + 1,
        "best": [*state.get("best", []), selection.score],
    }


def verify(driver: ExplainerDriver, unit: Unit, state: LoopState) -> Update:
    """Score the winner on holdout, once."""
    if winner := _winner(driver.context, unit, state):
        verify_target(driver.context, unit, winner)
    else:
        score_list(driver.context, unit)
    return {}


def conclude(driver: ExplainerDriver, unit: Unit, state: LoopState) -> Update:
    """Log the winner, or why there is none. "We don't know" is a good answer."""
    winner, reason = _winner(driver.context, unit, state), ""
    if winner is None:
        reason = state.get("reason") or driver.reason_without_winner(unit)
    conclude_target(driver.context, unit, winner, reason)
    return {}


def _view(context: InvestigationContext, unit: Unit, state: LoopState) -> InvestigationView:
    """What the explainer may know at this point; nothing of it is from holdout."""
    target = str(unit)
    feedback = context.log.all("feedback", target)
    hypotheses = _hypotheses(context, unit)
    return InvestigationView(
        unit=unit,
        round=state.get("round", 0),
        moves=state.get("move", 0),
        seed=context.seed(unit),
        observation=context.log.get("observation", target) or {},
        hypotheses=hypotheses,
        outcomes=tuple(context.log.all("outcome", target).values()),
        feedback={
            h.id: Feedback(row["score"], tuple(row["worst"]), row.get("parts", {}))
            for h in hypotheses
            if (row := feedback.get(h.id)) is not None
        },
        explore=lambda: context.data.of(unit, "explore"),
    )


def _hypotheses(context: InvestigationContext, unit: Unit) -> tuple[Hypothesis, ...]:
    """All hypotheses about the unit so far, in the order of proposal."""
    rows = context.log.all("hypothesis", str(unit)).values()
    return tuple(Hypothesis.from_json(row) for row in rows)


def _winner(context: InvestigationContext, unit: Unit, state: LoopState) -> Hypothesis | None:
    winner = state.get("winner")
    return next((h for h in _hypotheses(context, unit) if h.id == winner), None)
