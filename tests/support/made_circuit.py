"""A small circuit in the form of `circuit.json`, as the page draws it."""

from __future__ import annotations

from typing import Any

TOKENS = ["When", " Mary", " and", " John", " went", ",", " John", " gave", " to"]
EMPTY: dict[str, Any] = {
    "in_circuit": True, "role": None, "description": None, "role_status": None, "predictions": [], "effect": None,
    "copies": None, "writes": [], "attention": None,
}  # fmt: skip


def circuit(
    role: str = "name mover", description: str = "Attends to a name and copies it."
) -> dict[str, Any]:
    """Two heads and an MLP between input and logits, and a curve of four sizes."""
    nodes = [
        {"id": "input", "layer": -1, "kind": "input"},
        {
            "id": "head.1.2",
            "layer": 1,
            "kind": "head",
            "attention": {"prompt_tokens": TOKENS, "pattern": _pattern()},
        },
        {"id": "mlp.1", "layer": 1, "kind": "mlp"},
        {
            "id": "head.2.0",
            "layer": 2,
            "kind": "head",
            "role": role,
            "description": description,
            "role_status": "kept",
        }
        | {
            "predictions": [_prediction()],
            "effect": {"value": 0.4, "low": 0.3, "high": 0.5},
            "copies": 0.9,
        }
        | {
            "writes": [{"token": " Mary", "weight": 2.0}],
            "attention": {"prompt_tokens": TOKENS, "pattern": _pattern()},
        },
        {"id": "logits", "layer": 3, "kind": "logits"},
    ]
    weights = [
        ("input", "head.1.2<q>", 0.5),
        ("input", "mlp.1", -0.1),
        ("head.1.2", "head.2.0<k>", 0.3),
        ("mlp.1", "head.2.0<v>", 0.02),
    ]
    weights += [("head.2.0", "logits", 0.9), ("mlp.1", "logits", -0.2)]
    edges = [
        {"source": a, "target": b, "weight": w, "exact": None, "in_circuit": abs(w) > 0.15}
        for a, b, w in weights
    ]
    return {
        "format": 1, "task": "names", "subject": "tiny", "ablation": "resample", "metric": "logit difference",
        "model_score": 3.4, "corrupted_score": -3.1, "nodes": [EMPTY | node for node in nodes], "edges": edges,
        "curve": [_point(*p) for p in ((0.1, 1, 0.2), (0.3, 2, 0.5), (0.6, 4, 0.8), (1.0, 6, 1.0))],
        "chosen_share": 0.6,
        "faithfulness": {"value": 0.8, "low": 0.7, "high": 0.9, "prompts": 48}, "random": {"mean": 0.1},
        "completeness": None, "minimality": None, "stability": None, "rival": None,
        "prompts": {"discovery": 64, "heldout": 48}, "calibration": None, "interchange": [],
    }  # fmt: skip


def _pattern() -> list[list[float]]:
    """Causal, and each row sums to one."""
    return [
        [1 / (i + 1) if j <= i else 0.0 for j in range(len(TOKENS))] for i in range(len(TOKENS))
    ]


def _point(share: float, edges: int, f: float) -> dict[str, float]:
    return {
        "share": share,
        "edges": edges,
        "f": f,
        "low": f - 0.05,
        "high": f + 0.05,
        "random_f": f / 4,
    }


def _prediction() -> dict[str, Any]:
    claim = {
        "text": "attends to the indirect object",
        "quantity": "attention",
        "expected": [0.3, 1.0],
    }
    return claim | {"observed": 0.6, "low": 0.5, "high": 0.7, "outcome": "for"}
