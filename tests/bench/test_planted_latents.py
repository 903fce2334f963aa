"""`hubel bench planted --dictionary` from the suite to the summary, on a tiny subject."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hubel.agent.cli.main import run_command_line
from hubel.agent.run.replay import replay
from hubel.bench.latent_effects import effects_on_tokens
from hubel.bench.planted_latents import better_than_controls
from hubel.tools.instruments import InstrumentContext, call
from hubel.tools.subject import Subject, Unit
from hubel.tools.subject.attach_latents import attach_latents
from tests.support.dictionaries import random_dictionary
from tests.support.tiny import WORDS, tiny_subject

UNIT = """
[[unit]]
id = "{id}"
layer = 1
meaning = "{match}"
[[unit.part]]
match = "{match}"
strength = 40.0
writes = " {writes}"
"""
SUITE = UNIT.format(id="days", match="Monday|Tuesday|Friday", writes="river")
SUITE += UNIT.format(id="animals", match="cat|dog", writes="bank")
SUITE += UNIT.format(id="nowhere", match="zebra", writes="red")


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> Subject:
    subject = tiny_subject()
    monkeypatch.setattr("hubel.tools.subject.load.load_subject", lambda *_args, **_options: subject)
    return subject


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.usefixtures("base")
def test_the_bench_says_which_latents_are_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw = np.random.default_rng(0)
    texts = [" ".join(draw.choice(WORDS.split(), 60)) for _ in range(80)]
    corpus, suite = tmp_path / "made.jsonl", tmp_path / "suite.toml"
    corpus.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    suite.write_text(SUITE)
    command = ["bench", "planted", "--dictionary", "--suite", str(suite), "--corpus", str(corpus),
               "--runs", str(tmp_path), "--quiet", "--json", "--explainer", "ten-tokens",
               "--name", "b"]  # fmt: skip
    assert run_command_line(command) == 0
    *rows, last = lines(capsys)
    summary = last["summary"]
    by_id = {row["id"]: row for row in rows}
    assert [row["target"] for row in rows[:4]] == [
        *(f"sae.planted.{i}" for i in range(3)),
        "sae.random1.0",
    ]
    for name in ("days", "animals"):
        assert by_id[name]["recovered"], by_id[name]
    assert (by_id["nowhere"]["decidable"], summary["missed"]) == (False, [])
    assert (summary["recovered"], summary["decidable"], summary["controls"]) == (1.0, 2, 6)
    assert by_id["sae.random1.0"]["control"] == "random"
    assert {(row["of"], row["by"]) for row in summary["comparisons"]} >= {
        ("planted", "effect"),
        ("permuted", "effect"),
        ("random1", "explanation"),
    }
    assert summary["controls_better"] == 0
    assert replay(tmp_path / "b").mismatches == []
    # the same command again only measures the effects, and prints the same
    assert run_command_line(command) == 0
    assert lines(capsys)[-1] == last


def test_better_is_a_discovery_among_the_controls() -> None:
    controls = np.arange(99)[:, None] / 100
    values = np.concatenate([np.full(10, 0.99), controls[:, 0]])  # ten above all: p = 0.01
    assert better_than_controls(values[:10], controls) == 10
    assert better_than_controls(values[10:], controls) == 0
    assert better_than_controls(values, controls) == 0  # the line is 0.05 * 10 / 109
    # a control of its own for each latent
    assert better_than_controls(np.array([0.5, 0.5]), np.repeat([[0.4, 0.6]], 99, axis=0)) == 1


def test_an_effect_is_what_steering_does() -> None:
    subject, texts = tiny_subject(), ["red river bank", "red bank river"]
    dictionary = random_dictionary(subject)
    attach_latents(subject, dictionary)
    ids = np.array([subject.tokenize(text).ids for text in texts])
    latents = [Unit.parse("sae.random.3"), Unit.parse("sae.random.8")]
    tokens = [subject.tokenize(word).ids[0] for word in (" river", " bank")]
    effects = effects_on_tokens(subject, latents, tokens, ids, length=2.0)
    context = InstrumentContext(subject=subject)
    for latent, effect in zip(latents, effects, strict=True):
        strength = 2.0 / float(dictionary.decoder[latent.index].norm())
        arguments = {"unit": str(latent), "strengths": [strength], "tokens": [" river", " bank"]}
        steered = [
            call("steer", arguments | {"text": text, "new_tokens": 0}, context).to_json()
            for text in texts
        ]
        ratios = [result["strengths"][0]["log_ratios"] for result in steered]
        assert effect == pytest.approx(np.mean(ratios, axis=0), rel=1e-3)
