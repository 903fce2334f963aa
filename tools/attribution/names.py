"""Names of methods and baselines, importable without torch."""

from __future__ import annotations

from typing import Literal

MethodName = Literal[
    "integrated_gradients", "occlusion", "gradient_x_input", "gradient", "relevance"
]

BaselineKind = Literal["counterfactual", "eos", "zero"]

ALONE: tuple[MethodName, ...] = ("gradient", "relevance")
"""Methods without a baseline."""
