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

So that all of it stays below a megabyte, few contexts are collected, and of the vocabulary the
words are kept that occur in them or that an explanation names.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from hubel.agent.run.default_index import default_index
from hubel.agent.run.execute import execute_run, make_run, resolve
from hubel.agent.runlog.layout import CHECKPOINTS, COLLECTED, CONFIG, EVENTS, LEXICON, LOCK
from hubel.agent.runlog.lexicon import stored_lexicon
from hubel.agent.runlog.log import read_events
from hubel.agent.runlog.progress import progress
from hubel.agent.runlog.reviews import Reviews
from hubel.bench.loopback import Loopback
from hubel.bench.loopback.demo_model import DemoModel
from hubel.tools.index import Collected
from tests.support.configs import changed, run_config

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

    subject = load_subject("smollm2-135m")
    with progress(quiet=False) as reporter, Loopback(DemoModel()) as model:
        index = str(default_index(subject, "lee-news", reporter))
        formulas = run_config(index=index, max_contexts=CONTEXTS, targets=TARGETS)
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
            _tidy(runs / name)
    reviews = Reviews(runs / "example")
    for target, verdict, person, note in _REVIEWS:
        review = {"verdict": verdict, "text": None, "predicate": None, "note": note, "name": person}
        reviews.write("review", target, review | {"after_viewing": False, "score": None})
    if circuit is not None:
        _keep_circuit(circuit, runs / "example-circuit")


def _tidy(folder: Path) -> None:
    """Leave out what only a resume needs, places of this machine, and words that nothing here uses."""
    for name in (CHECKPOINTS, LOCK):
        (folder / name).unlink(missing_ok=True)
    config = (folder / CONFIG).read_text()
    for place in ("index", "base_url"):
        config = re.sub(rf'(?m)^{place} = ".+"$', f'{place} = "{_OF_OLD[place]}"', config)
    (folder / CONFIG).write_text(config)
    for sealed in (folder / EVENTS).glob(
        "*.parquet"
    ):  # the process's number says nothing elsewhere
        sealed.rename(sealed.with_name(f"{sealed.name.partition('-')[0]}-1.parquet"))
    lexicon = stored_lexicon(folder)
    near = {word for words in lexicon.neighbourhoods.values() for word in words}
    kept = _used(folder, lexicon.strings, near)
    lexicon.strings = [text if at in kept else "" for at, text in enumerate(lexicon.strings)]
    shutil.rmtree(folder / LEXICON)
    lexicon.save(folder / LEXICON)


_OF_OLD = {"index": "smollm2-135m-lee-news", "base_url": "http://127.0.0.1:8017/v1"}


def _used(folder: Path, strings: list[str], named: set[str]) -> set[int]:
    """Tokens of the collected text, of words that a predicate names, and of others that are named."""
    ids = [Collected(path).tokens for path in (folder / COLLECTED).glob("*.safetensors")]
    used = set(np.unique(np.concatenate([tokens.ravel() for tokens in ids])).tolist())
    named = named | {
        word.strip().lower() for event in read_events(folder) for word in _quoted(event.data)
    }
    return used | {at for at, text in enumerate(strings) if text.strip().lower() in named}


def _quoted(data: Any) -> Iterable[str]:
    """Quoted words of any predicate in an event's data."""
    if isinstance(data, dict):
        for key, value in data.items():
            if key == "predicate" and isinstance(value, str):
                yield from re.findall(r'"((?:[^"\\]|\\.)*)"', value)
            else:
                yield from _quoted(value)
    elif isinstance(data, list):
        for value in data:
            yield from _quoted(value)


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
