"""The language model of a circuit run: checked before anything is loaded, paid once, within a budget."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from ..llm.journaled_model import JournaledModel
from ..runlog.model_config import UNLIMITED, BudgetConfig
from ..runlog.spending import spent_before
from .config import CircuitConfig
from .context import LOG_TARGET

if TYPE_CHECKING:
    from ..llm import LanguageModel
    from ..llm.meter import Checks
    from ..runlog.log import RunLog


def check_model(config: CircuitConfig, checks: Checks) -> CircuitConfig:
    """Fail early if the language model cannot be asked; detect how it calls tools. Rules need no check.

    Args:
        checks: keeps the requests that are sent, which count within the configuration's budget.

    Raises:
        UsageError: no key, an unknown model, or a limit in dollars without a known price.
        UnavailableError: no server.
    """
    from ..llm import check_explainer
    from ..llm.budget import Budget
    from ..llm.prices import check_dollars

    if not config.explainer.is_language_model:
        return config
    check_dollars(config.budget, {"": config.explainer})
    checks.budget = Budget(config.budget)
    return replace(config, explainer=check_explainer(config.explainer, checks))


def open_journaled_model(
    config: CircuitConfig,
    log: RunLog,
    limits: BudgetConfig | None,
    model: LanguageModel | None,
    stack: ExitStack,
) -> JournaledModel:
    """The run's language model, which journals replies and keeps to the budget.

    A client that is made here is closed with `stack`.
    """
    from ..llm import Patience, make_model
    from ..llm.budget import Budget
    from ..llm.prices import price_from

    if model is None:
        client = make_model(config.explainer, Patience(config.patience))
        stack.callback(client.close)
        model = client
    limits = (limits or UNLIMITED).or_else(config.budget)
    budget = Budget(limits, spent_before(log, [LOG_TARGET]))
    return JournaledModel(
        log, config.explainer.name, model, budget, price_from(config.explainer.price)
    )
