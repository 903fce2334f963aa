"""What a circuit run asks a language model through: found out before anything is loaded, paid once, within a budget."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from ...tools.errors import UsageError
from ..explainers import is_language_model
from ..llm.journaled_model import JournaledModel
from ..llm.paid_calls import cost_of
from ..runlog.events import LLM_CALL
from .config import CircuitConfig
from .context import ASKED

if TYPE_CHECKING:
    from ..llm import LanguageModel, ModelSettings
    from ..llm.budget import BudgetLimits
    from ..runlog.log import RunLog


def check_model(config: CircuitConfig) -> CircuitConfig:
    """Find out whether the language model can be asked, and how it calls tools; rules need nothing.

    Raises:
        UsageError: no key, an unknown model, or a limit in dollars without a known price.
        UnavailableError: no server.
    """
    from ..llm import preflight

    if not is_language_model(config.explainer):
        return config
    if config.budget.get("usd") and not config.price:
        raise UsageError(
            f"dollars of {config.explainer} cannot be limited without its price: give --price input=..,output=.. "
            "(dollars a million tokens), or limit calls or tokens"
        )
    found = preflight(config.explainer, _settings(config))
    return replace(config, tools=found.tools if config.tools == "auto" else config.tools)


def make_asker(
    config: CircuitConfig,
    log: RunLog,
    limits: BudgetLimits | None,
    model: LanguageModel | None,
    opened: ExitStack,
) -> JournaledModel:
    """The run's journal and budget before its language model; a client that is made here is closed with `opened`."""
    from ..llm import Patience, make_model
    from ..llm.budget import Budget
    from ..llm.budget import BudgetLimits as No
    from ..llm.prices import price_from

    if model is None:
        client = make_model(config.explainer, _settings(config), Patience(config.patience))
        opened.callback(client.close)
        model = client
    paid = [(ASKED, cost_of(row)) for row in log.all(LLM_CALL, ASKED).values()]
    budget = Budget((limits or No()).over(No(config.budget)), paid)
    return JournaledModel(log, config.explainer, model, budget, price_from(config.price))


def _settings(config: CircuitConfig) -> ModelSettings:
    from ..llm import ModelSettings

    return ModelSettings(
        base_url=config.base_url, effort=config.effort, thinking=config.thinking, tools=config.tools
    )
