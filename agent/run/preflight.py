"""What is found out of a run's language models before anything is loaded or paid: keys, servers, names, prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ...tools.errors import UsageError
from ..explainers import is_language_model
from .resources import settings_of

if TYPE_CHECKING:
    from ..runlog.config import RunConfig


def check_model(config: RunConfig) -> RunConfig:
    """Find out whether a run's language model can be asked and how it calls tools, and whether its
    budget can be held.

    Raises:
        UsageError: no key, an unknown model, or a limit in dollars for a model without a known price.
        UnavailableError: no server.
    """
    from ..llm import preflight
    from ..llm.judges import check_judge, check_simulator

    readers = (
        (config.simulator, config.simulator_price, "simulator-"),
        (config.judge, config.judge_price, "judge-"),
    )
    check_dollars(
        (config.budget, config.target_budget), ((config.explainer, config.price, ""), *readers)
    )
    if config.simulator:
        check_simulator(config.simulator, config.simulator_base_url)
    if config.judge:
        check_judge(config.judge, config.judge_base_url)
    if not is_language_model(config.explainer):
        return config
    found = preflight(config.explainer, settings_of(config))
    return replace(config, tools=found.tools if config.tools == "auto" else config.tools)


def check_dollars(
    budgets: Sequence[Mapping[str, float]], asked: Sequence[tuple[str, Mapping[str, float], str]]
) -> None:
    """Raise UsageError for a limit in dollars on a language model whose price is not known.

    Args:
        asked: name, price, and what stands before `price` in the option that gives it.
    """
    if not any(budget.get("usd") for budget in budgets):
        return
    for name, price, option in asked:
        if is_language_model(name) and not price:
            raise UsageError(
                f"dollars of {name} cannot be limited without its price: give --{option}price input=..,output=.. "
                "(dollars a million tokens), or limit calls or tokens"
            )
