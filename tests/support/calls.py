"""One call of every instrument on the tiny subject: tests of all instruments make these, by whatever way they come."""

from __future__ import annotations

from typing import Any

TEXT = "a cat told the dog of the year 1999"
OTHER = "a cat told the dog of the year red"
_LABELLED = [f"{word} cat {i}" for i in range(6) for word in ("the", "a")]

CALLS: dict[str, dict[str, Any]] = {
    "ablate": {"unit": "mlp.1.5", "texts": [TEXT], "op": "zero", "new_tokens": 2},
    "activations.by_concept": {"unit": "mlp.1.5", "by": "word", "k": 2, "most": 20},
    "activations.exemplars": {"unit": "mlp.1.5", "k": 2},
    "activations.on_text": {"units": ["mlp.1.5"], "texts": [TEXT, OTHER]},
    "activations.search": {"text": TEXT, "k": 3},
    "activations.statistics": {"unit": "mlp.1.5"},
    "attribute": {"unit": "mlp.1.5", "text": TEXT, "baseline": "zero"},
    "coactivating": {"unit": "mlp.1.5", "contexts": 6, "k": 2},
    "concepts": {"family": "kind"},
    "compare": {"unit": "mlp.1.5", "text": TEXT, "other": OTHER},
    "corpus.search": {"unit": "mlp.1.5", "pattern": "cat", "most": 4},
    "generate": {"units": ["mlp.1.5"], "text": TEXT, "new_tokens": 2},
    "logit_lens": {"unit": "mlp.1.5"},
    "nearest": {"unit": "mlp.1.5", "k": 3},
    "patch": {"units": ["mlp.1.5"], "base": TEXT, "source": OTHER, "tokens": ["cat", "dog"]},
    "probe": {
        "site": "mlp.1",
        "texts": _LABELLED,
        "labels": [text.split()[0] for text in _LABELLED],
    },
    "study": {"name": ""},
    "steer": {"unit": "mlp.1.5", "text": TEXT, "strengths": [2.0, -2.0], "new_tokens": 2},
    "tokens.describe": {"words": ["cat", "zebra"]},
    "units.matching": {"words": ["cat"], "k": 2},
    "upstream": {"unit": "mlp.1.5", "text": TEXT, "k": 4},
}
