"""Check a run's language models before anything is loaded or paid: keys, servers, names, prices."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...tools.errors import UsageError
from ...tools.files.sizes import readable_size
from ..llm.conversation import TokenUsage
from ..llm.prices import check_dollars, price_of

if TYPE_CHECKING:
    from ..llm.meter import Checks
    from ..runlog.config import RunConfig

INVESTIGATION = TokenUsage(input=40_000, output=8_000, cache_read=24_000)
"""Tokens of one investigation, at the high end: the largest prompt that tests allow, and a model
that thinks."""
SIMULATED_CONTEXT = TokenUsage(input=700, output=800)
"""Tokens of one context that a simulator predicts, with its share of the prompt's fixed part."""
DETECTION = TokenUsage(input=6_000, output=1_000)
"""Tokens of one detection with 100 windows."""


def check_model(config: RunConfig, checks: Checks | None = None) -> RunConfig:
    """Check that a run's language models can be asked and its budget can be kept.

    Args:
        checks: keeps the requests that are sent, which count within the configuration's budget.

    Returns:
        The configuration with the way in which the explainer calls tools.

    Raises:
        UsageError: no key, an unknown model, or a limit in dollars without a known price.
        UnavailableError: the server does not answer.
        BudgetReached: the checks have used the budget up.
    """
    from ..llm import check_explainer
    from ..llm.budget import Budget
    from ..llm.judges import check_batches, check_judge, check_simulator
    from ..llm.meter import Checks

    check_dollars(
        config.budget,
        {"": config.explainer, "simulator-": config.simulator, "judge-": config.judge},
    )
    checks = checks or Checks()
    checks.budget = Budget(config.budget)
    if config.simulator.name:
        check_simulator(config.simulator, checks)
    if config.judge.name:
        check_judge(config.judge, checks)
    if config.batch:
        check_batches([config.simulator, config.judge])
    if not config.explainer.is_language_model:
        return config
    return replace(config, explainer=check_explainer(config.explainer, checks))


def estimated_usd(config: RunConfig) -> float | None:
    """What a run may cost, at the high end; None if none of its models has a known price."""
    usage = (
        (price_of(config.explainer), INVESTIGATION),
        (
            price_of(config.simulator, batch=config.batch),
            SIMULATED_CONTEXT * config.simulator_contexts,
        ),
        (price_of(config.judge, batch=config.batch), DETECTION),
    )
    usd = [price.of(tokens) or 0.0 for price, tokens in usage if price]
    return len(config.targets) * sum(usd) if usd else None


def activation_bytes(config: RunConfig) -> int:
    """Bytes of a run's activations on disk: float16, at each token of each context of each target."""
    from ...tools.index import Index

    index = Index.open(Path(config.index))
    contexts = sum(min(n, config.max_contexts) for n in index.n_contexts.values())
    return 2 * contexts * index.context_len * len(config.targets)


def check_room(config: RunConfig, runs: Path) -> str:
    """What a run's activations take of the disk, in a line.

    Args:
        runs: folder of the runs.

    Raises:
        UsageError: they take more than what is free.
    """
    size = activation_bytes(config)
    there = next(folder for folder in (runs, *runs.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    takes = f"activations of {len(config.targets):,} targets take {readable_size(size)}"
    if size > free:
        raise UsageError(
            f"{takes}, and {readable_size(free)} are free in {runs}; give fewer targets, a smaller "
            "--max-contexts, or --runs on a larger disk"
        )
    return f"{takes} on a disk with {readable_size(free)} free"
