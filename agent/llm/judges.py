"""Who judges for `hubel eval` and `hubel bench planted --scorers`: nobody, a script, a constant, or
a language model.

predicate | scripted:FILE | constant:TEXT        `evals.judge.offline`: no network
openai:MODEL | anthropic:MODEL                   `agent.llm`: any server by --base-url
"""

from __future__ import annotations

from collections.abc import Mapping

from ...evals.judge import offline as plain
from ...evals.judge.protocol import Chat
from ...tools.errors import UsageError
from . import PROVIDERS, ModelSettings, Patience, make_model, preflight, split_name
from .judge_adapter import Judge
from .prices import price_from


def make_judge(
    spec: str,
    base_url: str = "",
    patience: Patience | None = None,
    price: Mapping[str, float] | None = None,
    *,
    logprobs: bool = False,
) -> Chat | None:
    """A judge from its words on the command line; None for ``predicate``. Nothing is sent.

    Args:
        price: of the model, as `llm.prices` reads it; without it no dollars are counted.
        logprobs: whether log-probabilities are asked for where a scorer uses them.
        patience: shared with whoever else asks language models, so that they keep the rate limits together.

    Raises:
        UsageError: it is not known, its script cannot be read, or there is no key.
    """
    if is_model(spec):
        model = make_model(spec, ModelSettings(base_url=base_url), patience)
        return Judge(model, price_from(price or {}), logprobs=logprobs)
    if base_url:
        raise UsageError(
            f"--base-url says where a language model is; the judge {spec!r} needs no server"
        )
    try:
        return plain.offline_judge(spec)
    except UsageError as error:
        if spec.partition(":")[0] in ("predicate", "scripted", "constant"):
            raise
        raise UsageError(f"{error}, {', '.join(f'{p}:MODEL' for p in PROVIDERS)}") from None


def check_judge(spec: str, base_url: str = "") -> None:
    """Find out for free, before anything is loaded, whether the judge can be asked.

    Raises:
        UsageError: it is not known, or the server does not take the key or does not have the model.
        UnavailableError: there is no server.
    """
    if is_model(spec):
        preflight(spec, ModelSettings(base_url=base_url), explains=False)
    else:
        make_judge(spec, base_url)


def is_model(spec: str) -> bool:
    """Whether a judge of that name is a language model."""
    return spec.partition(":")[0] in PROVIDERS


def check_simulator(spec: str, base_url: str = "") -> None:
    """The same of a simulator, which can only be a language model.

    Raises:
        UsageError: it is none, or it cannot be asked.
        UnavailableError: there is no server.
    """
    split_name(spec)
    check_judge(spec, base_url)
