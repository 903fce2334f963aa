"""Make the example runs of the repository: small but complete, so that they can be read, reviewed
and replayed.

    python -m tests.support.example_runs RUNS [CIRCUIT]

1. `example`: neurons and a head of the default subject on the demo's text, explained by the formula
   search.
2. `example-model`: two of the same by a language model; the program that `hubel loopback` serves
   stands in for one, so that anybody gets the same transcript without a key.
3. `example-circuit`: what `hubel circuit run` wrote in the folder CIRCUIT: the names of all edges
   of the circuit, and the numbers of its strongest.
4. Reviews, so that agreement is shown.

So that all of it stays small, few contexts are collected.
"""

from __future__ import annotations

import json
import shutil
import sys
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hubel.agent.run.default_index import default_index
from hubel.agent.run.execute import execute_run, make_run, resolve
from hubel.agent.runlog.layout import CHECKPOINTS, CONFIG, LOCK
from hubel.agent.runlog.progress import progress
from hubel.agent.runlog.reviews import Reviews
from hubel.bench.loopback import Loopback
from hubel.bench.loopback.demo_model import DemoModel
from tests.support.configs import changed, run_config

INDEX, PORT = "smollm2-135m-lee-news", 8017
CONTEXTS = 160
TARGETS = ["mlp.1.977", "mlp.10.1352-", "mlp.20.977", "mlp.28.977", "head.25.2"]
BY_MODEL = ["mlp.20.977", "mlp.10.1352-"]
PRICE = {"input": 3.0, "output": 15.0, "cache_read": 0.3}
"""US dollars per million tokens, invented: the stand-in is free."""
EDGES = 100
"""Edges of the circuit with their numbers."""
_REVIEWS = (
    (
        "mlp.20.977",
        "approve",
        "Ada",
        "Since and because, against play: both sides hold up on select.",
    ),
    ("mlp.1.977", "reject", "Ada", "A list of tokens; I would not call this a meaning."),
    ("mlp.20.977", "approve", "Grace", None),
    ("mlp.28.977", "note", "Grace", "Look at the worst misses before deciding."),
)
"""Reviews of `example`: target, verdict, name, note."""


def make_examples(runs: Path, circuit: Path | None = None) -> None:
    """Make them in a folder that has none of them yet."""
    from hubel.tools.subject import load_subject

    runs, subject = runs.resolve(), load_subject("smollm2-135m")
    with TemporaryDirectory() as place, chdir(place), progress(quiet=False) as reporter:
        # Addresses that say nothing of this machine, since a run's files are bound by their hashes.
        Path(INDEX).symlink_to(default_index(subject, "lee-news", reporter))
        with Loopback(DemoModel(), port=PORT) as model:
            formulas = run_config(index=INDEX, max_contexts=CONTEXTS, targets=TARGETS)
            by_model = changed(
                formulas,
                targets=BY_MODEL,
                explainer="openai:beginner",
                base_url=model.url("openai"),
                price=PRICE,
            )
            for name, config in (("example", formulas), ("example-model", by_model)):
                make_run(runs / name, resolve(config))
                execute_run(runs / name, reporter=reporter, subject=subject)
                for left in (CHECKPOINTS, LOCK):  # only a resume needs them
                    (runs / name / left).unlink(missing_ok=True)
    reviews = Reviews(runs / "example")
    for target, verdict, person, note in _REVIEWS:
        review = {"verdict": verdict, "text": None, "predicate": None, "note": note, "name": person}
        reviews.write("review", target, review | {"after_viewing": False, "score": None})
    if circuit is not None:
        _keep_circuit(circuit, runs / "example-circuit")


def _keep_circuit(source: Path, folder: Path) -> None:
    """The result of a circuit's run, numbers with four digits."""
    circuit = json.loads((source / "circuit.json").read_text(encoding="utf-8"))
    circuit["edges"] = [edge for edge in circuit["edges"] if edge["in_circuit"]][:EDGES]
    folder.mkdir(parents=True)
    (folder / "circuit.json").write_text(
        json.dumps(_rounded(circuit), separators=(",", ":")), encoding="utf-8"
    )
    shutil.copy(source / CONFIG, folder)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list) else value


if __name__ == "__main__":
    make_examples(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
