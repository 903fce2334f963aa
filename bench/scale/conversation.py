"""Tokens of a target with language models, counted by the loopback server, and what they cost.

A program answers in place of the models: it makes about five short replies, as a model that sees at
once what a unit does. A thinking model writes far more, so the estimate that `hubel run` prints
before it starts is shown next to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from ...agent.llm.conversation import TokenUsage
from ...agent.llm.prices import BATCH_SHARE, price_from, shipped_prices
from ...agent.run.execute import execute_run, make_run, resolve
from ...agent.run.preflight import DETECTION, INVESTIGATION, SIMULATED_CONTEXT
from ...agent.runlog.config import RunConfig
from ...agent.runlog.events import LLM_REQUEST
from ...agent.runlog.log import Data, RunLog
from ...agent.runlog.model_config import ModelConfig
from ...tools.errors import HubelError
from ...tools.subject import load_subject
from ..loopback import Loopback
from ..loopback.demo_model import DemoModel
from .detectors import detector_addresses
from .measure import SizeCost

ROLES = ("explainer", "simulator", "judge")
COUNTS = ("input_tokens", "output_tokens", "cache_read", "cache_write")
AT_MOST = {
    "explainer": INVESTIGATION,
    "simulator": SIMULATED_CONTEXT * RunConfig("", []).simulator_contexts,
    "judge": DETECTION,
}
"""What the estimate before a run takes for a target."""


class TargetPrice(NamedTuple):
    """Dollars of a target with one model in all roles.

    Attributes:
        origin: where its price is from, and when it was read.
        explainer, at_most: the conversation that was counted, and what the estimate takes for it.
        readers, in_batches: simulator and judge as they were counted, at once and in batches.

    None where tokens were not counted, or have no price.
    """

    model: str
    origin: str
    explainer: float | None
    at_most: float | None
    readers: float | None
    in_batches: float | None


def count_tokens(folder: Path, cost: SizeCost, n_targets: int) -> dict[str, TokenUsage]:
    """Mean tokens of a target by role, of a new run against the loopback server.

    Simulator and judge are asked about a target only if the program concludes with an explanation; a
    role that no target came to is left out.

    Args:
        folder: of the run.
        cost: of the subject whose detectors are the targets, with its files.
    """
    subject = load_subject(str(cost.folder / cost.size.name))
    index, targets = cost.folder / "index", detector_addresses(cost.size)[:n_targets]
    with Loopback(DemoModel(), port=0, keep=False) as server:
        model = ModelConfig("anthropic:beginner", server.url("anthropic"))
        config = RunConfig(str(index), targets, model, simulator=model, judge=model)
        make_run(folder, resolve(config))
        execute_run(folder, subject=subject)
    with closing(RunLog(folder, writable=False)) as log:
        for target in targets:
            if failure := log.get("failure", target):
                raise HubelError(f"{target} could not be explained: {failure['error']}")
        rows = [list(log.all(LLM_REQUEST, target).values()) for target in targets]
    by_role = {role: [_of_role(row, role) for row in rows] for role in ROLES}
    return {role: _mean_usage(asked) for role, asked in by_role.items() if any(asked)}


def _of_role(rows: Sequence[Data], role: str) -> list[Data]:
    return [row for row in rows if row["role"] == role]


def _mean_usage(requests: Sequence[Sequence[Data]]) -> TokenUsage:
    """The mean over the targets that have requests."""
    asked = [of_target for of_target in requests if of_target]
    sums = (sum(row[name] for row in chain(*asked)) for name in COUNTS)
    return TokenUsage(*(round(total / len(asked)) for total in sums))


def target_prices(usage: Mapping[str, TokenUsage]) -> list[TargetPrice]:
    """Dollars of a target for each model whose price is shipped."""
    prices: list[TargetPrice] = []
    for model, known in shipped_prices().items():
        price = price_from(known.price)
        assert price is not None
        paid = {role: price.of(counted) for role, counted in usage.items()}
        simulator, judge = paid.get("simulator"), paid.get("judge")
        readers = None if simulator is None or judge is None else simulator + judge
        in_batches = readers and known.price.get("batch", BATCH_SHARE) * readers
        at_most = price.of(AT_MOST["explainer"])
        prices.append(
            TargetPrice(model, known.origin, paid.get("explainer"), at_most, readers, in_batches)
        )
    return prices
