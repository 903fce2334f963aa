"""Many investigations side by side in this process; what each leaves in the log.

`investigate_target` is the boundary of an investigation: whatever is raised inside becomes a failure
of its target. Only the loss of the last worker of an engine is none: it would fail every target, each
after its first replies were paid for.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ...evals.judge.protocol import AnswerPending
from ...tools.errors import BudgetReached, HubelError
from ...tools.files.secrets import mask_message
from ..engine import NoWorkerError
from ..runlog.progress import Reporter
from ..runlog.stopping import Stopped
from ..runlog.target_counts import EndedTargets
from .checkpoints import open_checkpoints
from .provisional import provisional_line
from .shared_cores import shared_cores

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph

    from ..investigation.context import InvestigationContext
    from ..investigation.drivers import ExplainerDriver

SHOWN_ONE_BY_ONE = 500
"""Targets of a run that has a line for each one that ends; of more, the progress has the count."""
STOP_POLL_S = 0.2
"""Seconds between looks at whether the user has interrupted."""


def investigate_all(
    driver: ExplainerDriver,
    targets: Sequence[str],
    reporter: Reporter,
    ended: EndedTargets | None = None,
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """Investigate targets side by side; returns when all have ended.

    Args:
        ended: counts the targets of this and other parts.
        meanwhile: called when all are at work.

    Raises:
        KeyboardInterrupt: the user asked to stop; what is in flight has ended.
    """
    from ..investigation.loop import build_graph  # here: importing LangGraph takes a second

    context = driver.context
    ended = ended or EndedTargets(context.log, len(targets))
    threads = max(1, context.config.concurrency)
    side_by_side = min(len(targets), context.config.concurrency)
    with ExitStack() as stack:
        stack.enter_context(shared_cores(threads))
        saver = stack.enter_context(open_checkpoints(context.folder, reporter.say))
        graph = build_graph(driver, saver)
        stack.callback(lambda: context.log.write("load", context.waits.summary(side_by_side)))
        pool = ThreadPoolExecutor(max_workers=threads)
        running = {
            pool.submit(investigate_target, graph, driver, target): target for target in targets
        }
        try:
            meanwhile()
            while running:
                show_progress(reporter, ended, context.steps(), side_by_side)
                done, _ = wait(running, timeout=STOP_POLL_S, return_when=FIRST_COMPLETED)
                for future in done:
                    target = running.pop(future)
                    show_result(context, target)
                    ended.add(target)
                    future.result()  # raises defects of this program: failures are in the log
            show_progress(reporter, ended, "", side_by_side)
        except BaseException:  # Ctrl-C, or a defect: raised again when no thread is at work
            context.stopped.set()
            reporter.say("stopping when what is in flight is done; interrupt again to stop now")
            pool.shutdown(cancel_futures=True)
            raise
        pool.shutdown()


def show_progress(reporter: Reporter, ended: EndedTargets, steps: str, side_by_side: int) -> None:
    """How many targets have ended, and what is being waited for."""
    failed = f"{ended.failed} failed" if ended.failed else ""
    note = ", ".join(filter(None, (failed, steps and f"now {steps}")))
    done = ended.done + ended.failed
    reporter.update("explain", done, ended.total, unit="targets", note=note, at_once=side_by_side)


def show_result(context: InvestigationContext, target: str) -> None:
    """Say what came of a target, as far as it is known before the run ends."""
    context.enter_step(target, "")
    line = provisional_line(context.log, target)
    if line and len(context.config.targets) <= SHOWN_ONE_BY_ONE:
        context.say(line)


def investigate_target(
    graph: CompiledStateGraph[Any, Any, Any, Any], driver: ExplainerDriver, target: str
) -> None:
    """One investigation, from where its checkpoint left it. Any error is a failure of this target.

    Raises:
        NoWorkerError: the engine that calls the instruments has no worker left.
    """
    context = driver.context
    thread: Any = {"configurable": {"thread_id": target}, "recursion_limit": 1000}
    try:
        if target not in context.started:  # else it goes on after a batch of answers
            context.started.add(target)
            driver.start(context.units[target])
        if context.judges.is_full:
            raise AnswerPending
        started = graph.get_state(thread).next
        graph.invoke(None if started else {"target": target}, thread, durability="sync")
    except Stopped:
        return
    except NoWorkerError:
        raise
    except AnswerPending:
        context.wait_for_batch(target)
    except BudgetReached as reached:  # the target stays pending
        context.budget_reached = str(reached)
    except Exception as error:  # noqa: BLE001 - logged with its traceback; the other targets go on
        context.log.write("failure", failure_of(error), target=target)


def failure_of(error: Exception) -> dict[str, str]:
    """A failure as it is logged: one readable line, its kind, and the traceback for debugging."""
    line = str(error) if isinstance(error, HubelError) else f"{type(error).__name__}: {error}"
    return {
        "error": mask_message(" ".join(line.split())),
        "kind": type(error).__name__,
        "traceback": mask_message(traceback.format_exc()),
    }
