"""A made run of any size: as a finished run looks on the disk, with words drawn at random in the
place of findings.

It is what the speed of the review page is measured on, and can be made in a minute where a real one
takes days. The format is true (configuration, sealed segments, collected activations, lexicon), the
numbers mean nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..agent.runlog.config import RunConfig, versions
from ..agent.runlog.layout import COLLECTED, EVENTS, LEXICON
from ..agent.runlog.log import SEALED_ROWS, event_schema
from ..agent.runlog.model_config import ModelConfig
from ..agent.runlog.progress import Reporter
from ..tools.dissection import Lexicon

NEURONS = 1536
VOCABULARY, CONTEXTS, LENGTH = 6000, 20_000, 32
"""Words, contexts that exemplars are drawn from, tokens of each."""
COLLECTED_CONTEXTS = 24
SEGMENT = 10_000
"""Targets a segment."""
_POOL = 2000
"""Series of activations that exemplars are drawn from."""


class Material(NamedTuple):
    """What the events are put together from."""

    words: list[str]
    tokens: np.ndarray
    """Token ids of every context, [context, token]."""
    contexts: list[str]
    """The tokens of every context, as JSON."""
    activations: list[str]
    """Series of activations, as JSON."""


def make_run(
    folder: Path,
    targets: int,
    exemplars: int = 20,
    seed: int = 0,
    reporter: Reporter | None = None,
    *,
    hostile: Sequence[str] = (),
    first: Sequence[str] = (),
) -> None:
    """Write a finished run.

    Args:
        folder: of the run; must not be there.
        targets: how many, NEURONS a layer.
        exemplars: of each target, half of them a side.
        hostile: texts that stand wherever a text of a corpus, a model or a person stands.
        first: addresses of targets that come before the others.
    """
    reporter = reporter or Reporter()
    rng = np.random.default_rng(seed)
    material = _material(rng, hostile)
    called = [*hostile, "openai:made", "made words, no model", "made"][:3]
    names = [*first] + [f"mlp.{i // NEURONS}.{i % NEURONS}" for i in range(targets - len(first))]
    RunConfig(
        index="deleted",
        targets=names,
        explainer=ModelConfig(f"openai:{called[0]}"),
        max_contexts=COLLECTED_CONTEXTS,
        subject={"name": "made", "title": called[1], "revision": "made"},
        corpus={"name": called[2], "sha256": "made"},
        versions=versions(),
    ).save(folder)
    Lexicon.build(material.words, None).save(folder / LEXICON)
    _write_collected(folder / COLLECTED, names, material, rng)
    (folder / EVENTS).mkdir()
    verdicts: list[dict[str, Any]] = []
    for number, start in enumerate(range(0, targets, SEGMENT), 1):
        some = names[start : start + SEGMENT]
        rows = [row for name in some for row in _events(name, material, exemplars, rng, verdicts)]
        if start + SEGMENT >= targets:
            rows.append(("verdicts", None, None, json.dumps({"rows": verdicts})))
        _write_segment(folder / EVENTS / f"{number:04d}-1.parquet", rows)
        reporter.update("make", min(start + SEGMENT, targets), targets, unit="targets")


def _material(rng: np.random.Generator, hostile: Sequence[str]) -> Material:
    letters = np.array(list("abcdefghijklmnoprstuvw"))
    words = list(
        dict.fromkeys("".join(rng.choice(letters, n)) for n in rng.integers(3, 9, 2 * VOCABULARY))
    )
    words = [
        *hostile,
        *(f" {word}" for word in words[: VOCABULARY if not hostile else len(hostile)]),
    ]
    shares = 1 / np.arange(1, len(words) + 1)  # as in a language, a few words are most of the text
    tokens = rng.choice(len(words), (CONTEXTS, LENGTH), p=shares / shares.sum())
    spelled = [json.dumps(word) for word in words]
    contexts = [f"[{', '.join(spelled[t] for t in row)}]" for row in tokens]
    series = [
        json.dumps([round(float(v), 4) for v in row])
        for row in rng.gamma(0.3, 1.0, (_POOL, LENGTH))
    ]
    return Material(words, tokens, contexts, series)


_Row = tuple[str, str | None, str | None, str]


def _events(
    name: str,
    made: Material,
    exemplars: int,
    rng: np.random.Generator,
    verdicts: list[dict[str, Any]],
) -> Iterator[_Row]:
    """The events of one target, as an investigation writes them."""
    picked = [made.words[i].strip() for i in rng.integers(0, len(made.words), 12)]
    sentences = [
        f'Fires strongly on "{a}", "{b}" and on "{c}".' for a, b, c in (picked[:3], picked[3:6])
    ]
    printed = [
        f'strongly words("{a}", "{b}", "{c}"); step 1.0, rest 0.0'
        for a, b, c in (picked[:3], picked[3:6])
    ]
    r, drop = float(rng.beta(2, 3)), float(rng.normal(0.02, 0.03))
    yield "observation", name, None, _observation(name, made, exemplars, rng)
    for i, (sentence, predicate) in enumerate(zip(sentences, printed, strict=True), 1):
        told = {
            "id": f"h{i}",
            "sentence": sentence,
            "predicate": predicate,
            "origin": "made",
            "parent": None,
            "round": 0,
        }
        yield "hypothesis", name, f"h{i}", json.dumps(told)
        yield from _experiment(name, i, " ".join(picked[6:]), rng)
        yield (
            "feedback",
            name,
            f"h{i}",
            json.dumps({"score": r + drop - 0.1 * (i - 1), "worst": []}),
        )
        yield "llm_call", name, f"{name}/{i}", _reply(i, sentence, picked)
    for split, value in (("select", r + drop), ("holdout", r)):
        yield "score", name, f"h1/simulation/{split}/random", _score(split, value)
    over = {"value": r - 0.1, "low": r - 0.2, "high": r}
    evidence = {
        "hypothesis": "h1",
        "p": 10 ** -(20 * r),
        "active_documents": 20,
        "trivial": "frequency",
    }
    yield "evidence", name, None, json.dumps(evidence | {"over_trivial": over})
    kept = "kept" if r > 0.3 else "inconclusive" if r > 0.15 else "rejected"
    reason = f"Held-out r {r:.2f} [{r - 0.1:.2f}, {r + 0.1:.2f}]."
    verdicts.append(
        {
            "target": name,
            "verdict": kept,
            "discovery": r > 0.3,
            "reason": reason,
            "p": evidence["p"],
        }
    )
    told = {
        "explanation": sentences[0],
        "predicate": printed[0],
        "hypothesis": "h1",
        "cannot_explain": "",
    }
    told |= {"p": evidence["p"], "seconds": 12.5, "calls": 2, "usd": 0.02, "failed_scores": 0}
    yield "conclusion", name, None, json.dumps(told)


def _observation(name: str, made: Material, exemplars: int, rng: np.random.Generator) -> str:
    """Put together as text: with thousands of numbers in each, building and dumping objects would take minutes."""
    contexts = rng.integers(0, len(made.contexts), exemplars)
    series, peaks = rng.integers(0, _POOL, exemplars), rng.integers(1, LENGTH, exemplars)
    shown = [
        f'{{"context": {c}, "peak": {p}, "tokens": {made.contexts[c]}, "activations": {made.activations[s]}}}'
        for c, s, p in zip(contexts, series, peaks, strict=True)
    ]
    half = (exemplars + 1) // 2
    sides = [
        f'"exemplars{s}": {{"exemplars": [{", ".join(part)}]}}'
        for s, part in (("+", shown[:half]), ("-", shown[half:]))
    ]
    lens = [made.words[i] for i in rng.integers(0, len(made.words), 20)]
    weights = {
        side: {"tokens": lens[i : i + 10], "logits": [3.0] * 10}
        for i, side in ((0, "promoted"), (10, "suppressed"))
    }
    told = {
        "statistics": {"n": 40_000, "mean": 0.1, "std": 0.5, "min": -1.0, "max": 5.0},
        "logit_lens": weights,
    }
    return f"{json.dumps(told)[:-1]}, {', '.join(sides)}}}"


def _experiment(name: str, i: int, text: str, rng: np.random.Generator) -> Iterator[_Row]:
    planned = {
        "id": f"e{i}",
        "hypothesis": f"h{i}",
        "relation": "fires",
        "quantity": "max",
        "side": "+",
        "other": None,
    }
    planned |= {"bounds": None, "reason": "made", "passage": {"text": text, "span": None}}
    yield "prediction", name, f"e{i}", json.dumps(planned)
    observed = float(rng.gamma(0.5))
    outcome = {
        "observed": observed,
        "compared": 0.3,
        "outcome": "for" if observed >= 0.3 else "against",
    }
    yield (
        "outcome",
        name,
        f"e{i}",
        json.dumps(outcome | {"experiment": f"e{i}", "hypothesis": f"h{i}"}),
    )


def _reply(i: int, sentence: str, picked: list[str]) -> str:
    arguments = {"hypotheses": [{"sentence": sentence}]}
    call = {"id": f"c{i}", "name": "propose", "arguments": arguments, "raw": json.dumps(arguments)}
    said = [{"text": f"You investigate U. It is strongest on {', '.join(picked)}."}]
    if i > 1:
        said = [
            {
                "results": [
                    {"id": f"c{i - 1}", "text": f"h{i - 1}: taken, {picked[0]}", "error": False}
                ]
            }
        ]
    row = {
        "request": {"system_and_tools": "made", "new": said},
        "prompt": "experimenter@1#made",
        "model": "made",
    }
    row |= {"answer": {"text": f"It may be about {picked[-1]}.", "calls": [call], "stop": "tools"}}
    row |= {
        "input_tokens": 900,
        "output_tokens": 80,
        "cache_read": 500,
        "cache_write": 0,
        "usd": 0.01,
        "seconds": 2.5,
    }
    return json.dumps(row)


def _score(split: str, value: float) -> str:
    floors = {"chance": 0.0, "shuffled": 0.0, "other": 0.01, "token_lookup": 0.5, "trivial": 0.1}
    told = {
        "hypothesis": "h1",
        "scorer": "simulation",
        "split": split,
        "text": "random",
        "floors": floors,
    }
    return json.dumps(told | {"value": value, "low": value - 0.1, "high": value + 0.1})


def _write_segment(path: Path, rows: list[_Row]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    event, target, id, data = zip(*rows, strict=True)
    time = ["2026-01-01T00:00:00.000+00:00"] * len(rows)
    columns = [range(1, len(rows) + 1), time, event, target, id, data]
    table = pa.table([pa.array(column) for column in columns], schema=event_schema())
    pq.write_table(table, path, compression="zstd", row_group_size=SEALED_ROWS)


def _write_collected(
    folder: Path, names: list[str], made: Material, rng: np.random.Generator
) -> None:
    """Explore and select; a made run has no holdout that anybody could open."""
    from safetensors.numpy import save_file

    folder.mkdir()
    for split in ("explore", "select"):
        rows = np.sort(rng.permutation(CONTEXTS)[:COLLECTED_CONTEXTS])
        block = rng.gamma(0.3, 1.0, (512, COLLECTED_CONTEXTS, LENGTH)).astype(np.float16)
        tensors = {
            "activations": np.resize(block, (len(names), COLLECTED_CONTEXTS, LENGTH)),
            "tokens": made.tokens[rows].astype(np.int32),
            "length": np.full(COLLECTED_CONTEXTS, LENGTH, np.int32),
            "document": np.arange(COLLECTED_CONTEXTS, dtype=np.int32),
            "context": rows.astype(np.int32),
        }
        save_file(
            tensors,
            folder / f"{split}.safetensors",
            metadata={"collected": json.dumps({"targets": names})},
        )
