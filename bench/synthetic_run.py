"""A synthetic run of any size: the files of a finished run, with random words instead of findings.

The speed of the review page is measured on it. It takes a minute where a real run would take days.
The format is that of a real run (configuration, sealed segments, collected activations, lexicon);
the numbers mean nothing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..agent.runlog.chain import START
from ..agent.runlog.config import RunConfig, versions
from ..agent.runlog.layout import COLLECTED, EVENTS, LEXICON
from ..agent.runlog.log import SEALED_ROWS, event_line, event_schema
from ..agent.runlog.model_config import ModelConfig
from ..agent.runlog.progress import Reporter
from ..agent.runlog.tiers import TIERS
from ..tools.dissection import Lexicon

NEURONS = 1536
VOCABULARY, CONTEXTS, LENGTH = 6000, 20_000, 32
"""Words, contexts that exemplars are drawn from, and tokens per context."""
COLLECTED_CONTEXTS = 24
SEGMENT = 10_000
"""Targets per segment."""
_POOL = 2000
"""Series of activations that exemplars are drawn from."""
_SCALE = "; step 1.0, rest 0.0"


class Material(NamedTuple):
    """What the events are made from."""

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
    parts: bool = True,
) -> None:
    """Write a finished run.

    Args:
        folder: of the run; must not exist.
        targets: number of targets, `NEURONS` per layer.
        exemplars: per target, half of them per side.
        hostile: texts used wherever a run holds text of a corpus, a model or a person.
        first: addresses of targets that come before the others.
        parts: record tiers and the parts of explanations, as older versions did not.
    """
    reporter = reporter or Reporter()
    rng = np.random.default_rng(seed)
    material = _material(rng, hostile)
    labels = [*hostile, "openai:made", "made words, no model", "made"][:3]
    names = [*first] + [f"mlp.{i // NEURONS}.{i % NEURONS}" for i in range(targets - len(first))]
    config = RunConfig(
        index="deleted",
        targets=names,
        explainer=ModelConfig(f"openai:{labels[0]}"),
        max_contexts=COLLECTED_CONTEXTS,
        subject={"name": "made", "title": labels[1], "revision": "made"},
        corpus={"name": labels[2], "sha256": "made"},
        versions=versions(),
    )
    Lexicon.build(material.words, None).save(folder / LEXICON)
    _write_collected(folder / COLLECTED, names, material, rng)
    shutil.rmtree(folder / EVENTS, ignore_errors=True)  # of a run whose writing was interrupted
    (folder / EVENTS).mkdir()
    verdicts: list[dict[str, Any]] = []
    head = START
    for number, start in enumerate(range(0, targets, SEGMENT), 1):
        rows: list[_Row] = []
        for name in names[start : start + SEGMENT]:
            rows += _events(name, material, exemplars, rng, verdicts)
        if not parts:
            rows = list(_without_parts(rows, verdicts))
        if start + SEGMENT >= targets:
            rows.append(("verdicts", None, None, json.dumps({"rows": verdicts})))
        head = _write_segment(folder / EVENTS / f"{number:04d}-1.parquet", rows, head)
        reporter.update("make", min(start + SEGMENT, targets), targets, unit="targets")
    config.save(folder)  # last: a folder with a configuration is a whole run


def _material(rng: np.random.Generator, hostile: Sequence[str]) -> Material:
    letters = np.array(list("abcdefghijklmnoprstuvw"))
    drawn = ("".join(rng.choice(letters, n)) for n in rng.integers(3, 9, 2 * VOCABULARY))
    distinct = list(dict.fromkeys(drawn))[: len(hostile) or VOCABULARY]
    words = [*hostile, *(f" {word}" for word in distinct)]
    shares = 1 / np.arange(1, len(words) + 1)  # as in real text, a few words are most of it
    tokens = rng.choice(len(words), (CONTEXTS, LENGTH), p=shares / shares.sum())
    quoted = [json.dumps(word) for word in words]
    contexts = [f"[{', '.join(quoted[token] for token in row)}]" for row in tokens]
    pool = rng.gamma(0.3, 1.0, (_POOL, LENGTH))
    series = [json.dumps([round(float(value), 4) for value in row]) for row in pool]
    return Material(words, tokens, contexts, series)


_Row = tuple[str, str | None, str | None, str]
"""Event, target, id, data as JSON."""


def _events(
    name: str,
    material: Material,
    exemplars: int,
    rng: np.random.Generator,
    verdicts: list[dict[str, Any]],
) -> Iterator[_Row]:
    """The events of one target, in the order of an investigation; appends its verdict."""
    words = [material.words[i].strip() for i in rng.integers(0, len(material.words), 12)]
    pairs = (words[:2], words[2:4])
    sentences = [f'Fires strongly after "{a}". By name: "{b}".' for a, b in pairs]
    formulas = [_formula(a, b) for a, b in pairs]
    predicates = [f"{meaning} + {residue}{_SCALE}" for meaning, residue in formulas]
    r, drop = float(rng.beta(2, 3)), float(rng.normal(0.02, 0.03))
    yield "observation", name, None, _observation(material, exemplars, rng)
    for i, (sentence, predicate) in enumerate(zip(sentences, predicates, strict=True), 1):
        hypothesis = {"id": f"h{i}", "sentence": sentence, "predicate": predicate}
        hypothesis |= {"origin": "made", "parent": None, "round": 0}
        yield "hypothesis", name, f"h{i}", json.dumps(hypothesis)
        yield from _experiment(name, i, " ".join(words[6:]), rng)
        feedback = {"score": r + drop - 0.1 * (i - 1), "worst": []}
        yield "feedback", name, f"h{i}", json.dumps(feedback)
        yield "llm_call", name, f"{name}/{i}", _reply(i, sentence, words)
    for split, value in (("select", r + drop), ("holdout", r)):
        yield "score", name, f"h1/simulation/{split}/random", _score("simulation", split, value)
    for scorer, share in (("meaning", 0.9), ("headline", 0.7)):
        yield "score", name, f"h1/{scorer}/holdout/random", _score(scorer, "holdout", share * r)
    p = 10 ** -(20 * r)
    evidence = {"hypothesis": "h1", "p": p, "active_documents": 20, "trivial": "frequency"}
    evidence |= {"over_trivial": {"value": r - 0.1, "low": r - 0.2, "high": r}}
    yield "evidence", name, None, json.dumps(evidence)
    conclusion = {"explanation": sentences[0], "predicate": predicates[0], "hypothesis": "h1"}
    conclusion |= {"cannot_explain": "", "p": p, "seconds": 12.5, "calls": 2, "usd": 0.02}
    conclusion |= {"failed_scores": 0, "headline": f'After "{words[0]}".', "bits": 40.0}
    conclusion |= {"meaning": formulas[0][0] + _SCALE, "residue": formulas[0][1] + _SCALE}
    conclusion |= {
        "artefact": "" if r < 0.6 else "It tells the place in the context, not the text."
    }
    verdict = "kept" if r > 0.3 else "inconclusive" if r > 0.15 else "rejected"
    reason = f"Held-out r {r:.2f} [{r - 0.1:.2f}, {r + 0.1:.2f}]."
    tier = list(TIERS)[int(4 * (1 - r))]
    row = {"target": name, "verdict": verdict, "discovery": r > 0.3, "reason": reason, "p": p}
    row |= {"tier": tier}
    verdicts.append(row)
    yield "conclusion", name, None, json.dumps(conclusion)


def _without_parts(rows: Iterable[_Row], verdicts: list[dict[str, Any]]) -> Iterator[_Row]:
    """The events as older versions wrote them; also changes the verdicts."""
    for verdict in verdicts:
        verdict.pop("tier", None)
    for event, target, id, data in rows:
        fields = json.loads(data) if event in ("conclusion", "score") else {}
        if fields.get("scorer") in ("meaning", "headline"):
            continue
        for name in ("headline", "meaning", "residue", "bits", "artefact"):
            fields.pop(name, None)
        for name in ("list", "rotated"):
            fields.get("floors", {}).pop(name, None)
        yield event, target, id, json.dumps(fields) if fields else data


def _formula(word: str, token: str) -> tuple[str, str]:
    """The meaning and the residue of a formula, without its scale."""
    return f"strongly after(words({json.dumps(word)}))", f"list({json.dumps(token)} 3)"


def _observation(material: Material, exemplars: int, rng: np.random.Generator) -> str:
    """The event's JSON, joined from texts: dumping thousands of numbers each would take minutes."""
    contexts = rng.integers(0, len(material.contexts), exemplars)
    series, peaks = rng.integers(0, _POOL, exemplars), rng.integers(1, LENGTH, exemplars)
    examples = [
        f'{{"context": {c}, "peak": {p}, "tokens": {material.contexts[c]}, "activations": {material.activations[s]}}}'
        for c, s, p in zip(contexts, series, peaks, strict=True)
    ]
    half = (exemplars + 1) // 2
    sides = [
        f'"exemplars{s}": {{"exemplars": [{", ".join(part)}]}}'
        for s, part in (("+", examples[:half]), ("-", examples[half:]))
    ]
    lens = [material.words[i] for i in rng.integers(0, len(material.words), 20)]
    weights = {
        side: {"tokens": lens[i : i + 10], "logits": [3.0] * 10}
        for i, side in ((0, "promoted"), (10, "suppressed"))
    }
    summary = {
        "statistics": {"n": 40_000, "mean": 0.1, "std": 0.5, "min": -1.0, "max": 5.0},
        "logit_lens": weights,
    }
    return f"{json.dumps(summary)[:-1]}, {', '.join(sides)}}}"


def _experiment(name: str, i: int, text: str, rng: np.random.Generator) -> Iterator[_Row]:
    prediction = {"id": f"e{i}", "hypothesis": f"h{i}", "relation": "fires", "quantity": "max"}
    prediction |= {"side": "+", "other": None, "bounds": None, "reason": "made"}
    prediction |= {"passage": {"text": text, "span": None}}
    yield "prediction", name, f"e{i}", json.dumps(prediction)
    observed = float(rng.gamma(0.5))
    outcome = {"observed": observed, "compared": 0.3}
    outcome |= {"outcome": "for" if observed >= 0.3 else "against"}
    outcome |= {"experiment": f"e{i}", "hypothesis": f"h{i}"}
    yield "outcome", name, f"e{i}", json.dumps(outcome)


def _reply(i: int, sentence: str, words: list[str]) -> str:
    arguments = {"hypotheses": [{"sentence": sentence}]}
    call = {"id": f"c{i}", "name": "propose", "arguments": arguments, "raw": json.dumps(arguments)}
    new: list[dict[str, Any]] = [
        {"text": f"You investigate U. It is strongest on {', '.join(words)}."}
    ]
    if i > 1:
        text = f"h{i - 1}: taken, {words[0]}"
        new = [{"results": [{"id": f"c{i - 1}", "text": text, "error": False}]}]
    row = {
        "request": {"system_and_tools": "made", "new": new},
        "prompt": "experimenter@1#made",
        "model": "made",
    }
    row |= {"answer": {"text": f"It may be about {words[-1]}.", "calls": [call], "stop": "tools"}}
    row |= {
        "input_tokens": 900,
        "output_tokens": 80,
        "cache_read": 500,
        "cache_write": 0,
        "usd": 0.01,
        "seconds": 2.5,
    }
    return json.dumps(row)


def _score(scorer: str, split: str, value: float) -> str:
    floors = {"chance": 0.0, "shuffled": 0.0, "other": 0.01, "token_lookup": 0.5, "trivial": 0.1}
    if scorer == "simulation":
        floors |= {"list": 0.3, "rotated": 0.3}
    score = {"hypothesis": "h1", "scorer": scorer, "split": split, "text": "random"}
    score |= {"floors": floors, "value": value, "low": value - 0.1, "high": value + 0.1}
    return json.dumps(score)


def _write_segment(path: Path, rows: list[_Row], head: str) -> str:
    """Write events as a sealed segment that follows on the hash `head`; the hash of its last event."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    written = []
    for seq, (event, target, id, data) in enumerate(rows, 1):
        name = {"event": event, "target": target, "id": id, "seq": seq, "previous": head}
        name["time"] = "2026-01-01T00:00:00.000+00:00"
        _, head = event_line(data, name)
        written.append(name | {"data": data, "hash": head})
    table = pa.Table.from_pylist(written, schema=event_schema())
    pq.write_table(table, path, compression="zstd", row_group_size=SEALED_ROWS)
    return head


def _write_collected(
    folder: Path, names: list[str], material: Material, rng: np.random.Generator
) -> None:
    """Collected activations of explore and select; there is no holdout to open."""
    from safetensors.numpy import save_file

    folder.mkdir()
    for split in ("explore", "select"):
        rows = np.sort(rng.permutation(CONTEXTS)[:COLLECTED_CONTEXTS])
        block = rng.gamma(0.3, 1.0, (512, COLLECTED_CONTEXTS, LENGTH)).astype(np.float16)
        tensors = {
            "activations": np.resize(block, (len(names), COLLECTED_CONTEXTS, LENGTH)),
            "tokens": material.tokens[rows].astype(np.int32),
            "length": np.full(COLLECTED_CONTEXTS, LENGTH, np.int32),
            "document": np.arange(COLLECTED_CONTEXTS, dtype=np.int32),
            "context": rows.astype(np.int32),
        }
        save_file(
            tensors,
            folder / f"{split}.safetensors",
            metadata={"collected": json.dumps({"targets": names})},
        )
