"""A run's context without a subject: a made-up language, and units that fire on one word each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from hubel.agent.investigation.context import InvestigationContext
from hubel.agent.investigation.split_data import SplitData
from hubel.agent.runlog.config import RunConfig
from hubel.agent.runlog.layout import COLLECTED
from hubel.agent.runlog.log import RunLog
from hubel.tools.index import Collected
from tests.support import world

WORDS = {"mlp.0.0": " Monday", "mlp.0.1": " Friday", "mlp.1.0-": " said", "head.0.0": " the"}
"""Target to the word on which it fires; mlp.1.0 fires negatively."""
MONDAY = 'strongly words("monday")'
FRIDAY = 'strongly words("friday")'
SPLITS = ("explore", "select", "holdout")


def made_context(
    folder: Path, *, log: RunLog | None = None, **settings: Any
) -> InvestigationContext:
    """The context of a run with the targets of `WORDS`, whose activations lie in the folder."""
    config = RunConfig(**({"index": "none", "targets": [*WORDS]} | settings))
    lexicon = world.lexicon()
    for seed, split in enumerate(SPLITS):
        if not (folder / COLLECTED / f"{split}.safetensors").exists():
            _write(folder / COLLECTED / f"{split}.safetensors", seed)
    explore, select = (Collected.open(folder / COLLECTED, split) for split in ("explore", "select"))
    data = SplitData(explore, select, lexicon)
    return InvestigationContext(folder, config, log or RunLog(folder), data=data)


def _write(path: Path, seed: int) -> None:
    text = world.text(world.lexicon(), contexts=40, seed=seed)
    strings, noise = world.strings(), np.random.default_rng(seed)
    activations = []
    for target, word in WORDS.items():
        sign = -1.0 if target.endswith("-") else 1.0
        fires = sign * 3.0 * (text.tokens == strings.index(word))
        activations.append(fires + noise.normal(0, 0.03, text.tokens.shape))
    path.parent.mkdir(exist_ok=True)
    arrays = {
        "activations": np.array(activations, dtype=np.float16),
        "tokens": np.asarray(text.tokens, dtype=np.int32),
        "length": np.asarray(text.length, dtype=np.int32),
        "document": world.documents(len(text.tokens)).astype(np.int32),
        "context": np.arange(len(text.tokens), dtype=np.int32),
    }
    targets = [target.rstrip("-") for target in WORDS]
    save_file(arrays, path, metadata={"collected": json.dumps({"targets": targets})})


class RecordingDesk:
    """Takes the instrument desk's place: answers from functions, and remembers the calls."""

    def __init__(self, **answers: Any) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._answers = {name.replace("__", "."): answer for name, answer in answers.items()}

    def call(self, unit: Any, name: str, arguments: dict[str, Any]) -> Any:
        self.calls.append((name, arguments))
        return self._answers[name](arguments) if name in self._answers else {"called": name}

    call_for_model = call

    def call_all(self, unit: Any, calls: Any) -> list[Any]:
        return [self.call(unit, call.instrument, dict(call.arguments)) for call in calls]
