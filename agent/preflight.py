"""What is found out of a run's language models before anything is loaded or paid: keys, servers, names, prices."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..tools.errors import UsageError
from .explainers import is_language_model
from .workshop import settings_of

if TYPE_CHECKING:
    from .config import RunConfig


def check_model(config: RunConfig) -> RunConfig:
    """Find out whether a run's language model can be asked and how it calls tools, and whether its budget can be held.

    Raises:
        UsageError: no key, an unknown model, or a limit in dollars for a model without a known price.
        UnavailableError: no server.
    """
    from .judges import check_judge, check_simulator
    from .llm import preflight

    _check_dollars(config)
    if config.simulator:
        check_simulator(config.simulator, config.simulator_base_url)
    if config.judge:
        check_judge(config.judge, config.judge_base_url)
    if not is_language_model(config.explainer):
        return config
    found = preflight(config.explainer, settings_of(config))
    return replace(config, tools=found.tools if config.tools == "auto" else config.tools)


def _check_dollars(config: RunConfig) -> None:
    if not (config.budget.get("usd") or config.target_budget.get("usd")):
        return
    asked = ((config.explainer, config.price, ""), (config.simulator, config.simulator_price, "simulator-"))
    for name, price, option in (*asked, (config.judge, config.judge_price, "judge-")):
        if is_language_model(name) and not price:
            raise UsageError(
                f"dollars of {name} cannot be limited without its price: give --{option}price input=..,output=.. "
                "(dollars a million tokens), or limit calls or tokens"
            )
