"""Judges and simulators by name, for runs, `hubel eval` and `hubel bench planted --scorers`.

predicate | scripted:FILE | constant:TEXT        `evals.judge.offline`: no network
openai:MODEL | anthropic:MODEL                   a language model
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing

from ...evals.judge import offline
from ...evals.judge.protocol import Chat
from ...tools.errors import UnavailableError, UsageError
from ..runlog.model_config import MODEL_NAMES, ModelConfig
from . import Patience, make_model, preflight
from .errors import ModelError
from .judge_adapter import LanguageModelJudge
from .meter import Checks
from .prices import price_from


def make_judge(
    config: ModelConfig, patience: Patience | None = None, *, logprobs: bool = False
) -> Chat | None:
    """A judge; None for ``predicate``. Nothing is sent.

    Args:
        patience: shared with all who ask language models, so that they keep the rate limits together.
        logprobs: whether log-probabilities are asked for where a scorer uses them.

    Raises:
        UsageError: the name is unknown, its script cannot be read, or there is no key.
    """
    if config.is_language_model:
        return LanguageModelJudge(
            make_model(config, patience), price_from(config.price), logprobs=logprobs
        )
    if config.base_url:
        raise UsageError(
            f"--base-url says where a language model is; the judge {config.name!r} needs no server"
        )
    try:
        return offline.offline_judge(config.name)
    except UsageError as error:
        if config.name.partition(":")[0] in ("predicate", "scripted", "constant"):
            raise
        raise UsageError(f"{error}, {', '.join(MODEL_NAMES)}") from None


def check_judge(config: ModelConfig, checks: Checks | None = None) -> None:
    """Find out for nearly nothing, before anything is loaded, whether the judge can be asked.

    Args:
        checks: counts the requests that are sent.

    Raises:
        UsageError: the name is unknown, or the server does not take the key or does not have the model.
        UnavailableError: there is no server.
        BudgetReached: the budget of `checks` admits no further request.
    """
    if config.is_language_model:
        preflight(config, checks, explains=False)
    else:
        make_judge(config)


def check_batches(models: Iterable[ModelConfig]) -> None:
    """Check that judges and simulators can be asked in batches. Free.

    Raises:
        UsageError: none of them is a language model, or the server of one has no batch API.
        UnavailableError: there is no server.
    """
    from .batches.service import connect_batches

    asked = [model for model in models if model.is_language_model]
    if not asked:
        raise UsageError(
            "--batch is how language models judge and simulate, and there is none: name one with "
            f"--judge or --simulator ({', '.join(MODEL_NAMES)}), or leave out --batch"
        )
    for model in asked:
        with closing(connect_batches(model)) as service:
            try:
                service.check()
            except ModelError as error:
                raise UnavailableError(f"the batch API of {service.where}: {error}") from error


def check_simulator(config: ModelConfig, checks: Checks | None = None) -> None:
    """The same of a simulator, which can only be a language model."""
    preflight(config, checks, explains=False)
