"""Asks before language models are called for much money: the same for every command that calls them."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ...tools.errors import UsageError
from . import output

if TYPE_CHECKING:
    from ..runlog.model_config import BudgetConfig

CONFIRM_FROM_USD = 1.0
"""Estimated dollars above which a command asks before it starts."""


def add_yes(group: argparse._ActionsContainer) -> None:
    """Add the option that answers in advance."""
    group.add_argument("--yes", "-y", action="store_true", help="do not ask, however much it costs")


def confirm_cost(
    n_targets: int, estimate: float | None, budget: BudgetConfig, args: argparse.Namespace
) -> None:
    """Print what language models may cost; if that is much, ask before they are called.

    Args:
        estimate: dollars, at the high end; None if no price is known.
        budget: its limit in dollars bounds the estimate.

    Raises:
        UsageError: the answer is no, or there is no terminal to ask on.
    """
    if estimate is None:
        return
    limit = budget.run.get("usd", 0.0)
    most = min(estimate, limit) if limit else estimate
    line = f"{output.count(n_targets, 'target')} may cost up to about ${most:.2f}"
    if args.yes or most <= CONFIRM_FROM_USD:
        if not args.quiet:
            output.note(line)
    elif not sys.stdin.isatty():
        raise UsageError(f"{line}; confirm with --yes, or give a smaller --max-usd")
    elif input(f"{line}; continue? [y/N] ").strip().lower() not in ("y", "yes"):
        raise UsageError("not started; give fewer targets, or a smaller --max-usd")
