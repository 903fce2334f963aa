"""How often the explainer of a run keeps what cannot be explained: from the runs of nulls that stand beside it.

A run of real units cannot say how many of its explanations are false keeps. `hubel bench null` can, with the same
explainer, weights and text: its rates are shown with every run in the same place; without one, how to measure them.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ..evals.discoveries import Rate, wilson
from ..tools.errors import HubelError
from .artificial import is_control
from .config import RunConfig
from .planting import weights_of
from .views import rows


class FalseKeeps(NamedTuple):
    """What a run with nulls says; rates with Wilson intervals."""

    run: str
    nulls: int
    null_rate: Rate
    controls: int
    control_rate: Rate


def false_keeps_beside(folder: Path) -> list[FalseKeeps]:
    """One entry a finished run in the same place that put nulls through the same explainer; the largest first."""
    mine = RunConfig.load(folder)
    found = [rates for other in sorted(folder.parent.glob("*/config.toml")) if (rates := _rates(other.parent, mine))]
    return sorted(found, key=lambda rates: -rates.nulls)


def _rates(folder: Path, mine: RunConfig) -> FalseKeeps | None:
    try:
        config = RunConfig.load(folder)
        if _setting(config) != _setting(mine):
            return None
        kinds = {target: kind.partition(":")[0] for target, kind in config.nulls.items()}
        verdicts = {row["target"]: row["verdict"] for row in rows(folder)} if kinds else {}
    except HubelError:  # a run that cannot be read says nothing, and is no reason to show nothing of this one
        return None
    if not kinds or any(verdicts.get(target) in (None, "pending") for target in kinds):
        return None
    nulls, controls = ([verdicts[t] == "kept" for t, kind in kinds.items() if is_control(kind) == c] for c in (0, 1))
    return FalseKeeps(
        folder.name, len(nulls), wilson(sum(nulls), len(nulls)), len(controls), wilson(sum(controls), len(controls))
    )


def _setting(config: RunConfig) -> tuple[str, str, str | None]:
    return config.explainer, weights_of(config.subject.get("revision", "")), config.corpus.get("sha256")
