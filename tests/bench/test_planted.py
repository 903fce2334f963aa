"""`hubel bench planted` from the suite to the summary, on a tiny subject."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from hubel.agent.cli.main import run_command_line
from hubel.agent.engine import LocalEngine, Worker
from hubel.agent.run.execute import execute_run
from hubel.agent.run.replay import replay
from hubel.agent.runlog.config import RunConfig
from hubel.agent.runlog.log import read_events
from hubel.agent.runlog.progress import Reporter
from hubel.agent.runlog.run_subject import planted
from hubel.bench.actions.planted import add_arguments, run_settings
from hubel.bench.planted import evaluate, make_planted_run, planted_index, target_of
from hubel.bench.scorers import PlantedMeaning, rivals_of
from hubel.tools.errors import UnavailableError
from hubel.tools.subject import Subject, Unit, read_suite
from tests.agent.run.test_on_engine import events
from tests.support.suites import NULLS_AND_ROTATED
from tests.support.tiny import WORDS, tiny_subject

SUITE = """
seed = 1
[[unit]]
id = "dates/days"
layer = 1
meaning = "days of the week"
[[unit.part]]
match = '\\b(?:Mon|Tues|Fri)day\\b'
strength = 3.0
noise = 0.05
[[unit]]
id = "single/bank"
layer = 0
meaning = "the word bank"
[[unit.part]]
match = '\\bbank\\b'
side = "-"
strength = 2.0
noise = 0.05
[[unit]]
id = "never"
layer = 0
meaning = "a word that is not there"
[[unit.part]]
match = 'zebra'
noise = 0.5
"""
SUITE += NULLS_AND_ROTATED
KEYS = {
    "id",
    "target",
    "kept",
    "explanation",
    "r_truth",
    "precision",
    "recall",
    "decidable",
    "recovered",
    "states_meaning",
    "null",
    "control",
}


@pytest.fixture(autouse=True)
def base(monkeypatch: pytest.MonkeyPatch) -> Subject:
    subject = tiny_subject()
    monkeypatch.setattr("hubel.tools.subject.load.load_subject", lambda *_args, **_options: subject)
    return subject


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path / "made.jsonl"
    texts = [" ".join(rng.choice(WORDS.split(), 90)) for _ in range(120)]
    path.write_text(
        "\n".join(json.dumps({"id": f"d{i}", "text": text}) for i, text in enumerate(texts))
    )
    return path


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "suite.toml"
    path.write_text(SUITE)
    return path


def bench(corpus: Path, suite: Path, runs: Path, *more: str) -> list[str]:
    return ["bench", "planted", "--suite", str(suite), "--corpus", str(corpus), "--runs", str(runs), "--quiet",
            "--explainer", "ten-tokens", *more]  # fmt: skip


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.slow
def test_the_bench_says_which_explanations_are_right(
    tmp_path: Path, corpus: Path, suite: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(bench(corpus, suite, tmp_path / "runs", "--json", "--name", "b")) == 0
    *units, last = lines(capsys)
    assert all(set(row) == KEYS for row in units)
    by_id = {row["id"]: row for row in units}
    assert list(by_id) == ["dates/days", "single/bank", "never", "null-1", "null-2", "control-1"]
    for name in ("dates/days", "single/bank"):
        row = by_id[name]
        assert row["kept"]
        assert row["decidable"]
        assert row["recovered"], row
        assert min(row["r_truth"], row["precision"], row["recall"]) > 0.9
    assert by_id["never"]["decidable"] is False
    assert not by_id["never"]["recovered"]
    assert (by_id["null-1"]["null"], by_id["null-2"]["null"], by_id["control-1"]["null"]) == (
        "noise",
        "shuffled",
        False,
    )
    assert (by_id["null-1"]["control"], by_id["control-1"]["control"]) == (False, "rotated")
    assert by_id["null-1"]["r_truth"] is None
    assert not by_id["null-1"]["kept"]
    summary = last["summary"]
    assert summary["recovered"] == 1.0
    assert summary["false_keep"] == 0.0
    assert summary["undecidable"] == 1
    assert summary["auroc"] == 1.0
    assert summary["by_family"]["dates"] == {
        "recovered": 1,
        "states_meaning": 0,
        "decidable": 1,
        "units": 1,
    }
    # the same command again only prints; another suite under that name is refused
    assert run_command_line(bench(corpus, suite, tmp_path / "runs", "--json", "--name", "b")) == 0
    assert lines(capsys)[-1] == last
    suite.write_text(SUITE.replace("3.0", "4.0"))
    assert run_command_line(bench(corpus, suite, tmp_path / "runs", "--name", "b")) == 2
    assert "another suite" in capsys.readouterr().err


def test_a_language_model_explains_through_the_server_that_was_named() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    url = "http://127.0.0.1:8017/v1"
    args = parser.parse_args(["--explainer", "openai:any", "--base-url", url])
    args.device, args.dtype = "auto", "float32"
    config = RunConfig.from_settings({"index": "i", "targets": [], **run_settings(args)})
    assert (config.explainer.name, config.explainer.base_url) == ("openai:any", url)


@pytest.mark.slow
def test_no_explainer_sees_what_a_unit_is(
    tmp_path: Path, corpus: Path, suite: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run_command_line(bench(corpus, suite, tmp_path / "runs", "--targets", "3", "--name", "b"))
        == 0
    )
    assert "recovered" in capsys.readouterr().out
    folder = tmp_path / "runs" / "b"
    assert len(RunConfig.load(folder).targets) == 3
    logged = (folder / "config.toml").read_text() + "".join(map(repr, read_events(folder)))
    assert "hypothesis" in logged
    for word in (
        "dates/days",
        "days of the week",
        "single/bank",
        "the word bank",
        "null-1",
        "zebra",
    ):
        assert word not in logged


@pytest.mark.slow
def test_a_run_resumes_without_the_bench(
    tmp_path: Path, corpus: Path, suite: Path, base: Subject
) -> None:
    """`hubel resume` plants the suite again, from the copy in the run's folder."""
    read, folder = read_suite(suite), tmp_path / "run"
    subject = planted(base, read, str(corpus))
    targets = [target_of(subject, unit) for unit in read.units]
    make_planted_run(
        folder,
        subject,
        targets,
        lambda: planted_index(subject, str(corpus), Reporter()),
        explainer="ten-tokens",
    )
    suite.unlink()
    result = execute_run(folder)
    assert (result.done, result.failed, result.pending) == (6, 0, 0)
    assert evaluate(folder, subject, read.units).summary["recovered"] == 1.0
    assert replay(folder).mismatches == []


def test_workers_plant_the_units_again_and_find_the_same(
    tmp_path: Path, corpus: Path, suite: Path, base: Subject
) -> None:
    subject = planted(base, read_suite(suite), str(corpus))
    targets = [target_of(subject, unit) for unit in subject.suite.units]

    def make(name: str) -> Path:
        def index() -> Path:
            return planted_index(subject, str(corpus), Reporter())

        make_planted_run(tmp_path / name, subject, targets, index, explainer="ten-tokens")
        return tmp_path / name

    here, there, refused = make("here"), make("there"), make("refused")
    execute_run(here, subject=subject)
    worker = Worker()  # has no subject: it loads one, and plants
    assert execute_run(there, subject=subject, engine=LocalEngine(worker)).done == 6
    assert events(there) == events(here)
    corpus.write_text(corpus.read_text().replace("bank", "city"))
    with pytest.raises(UnavailableError, match=r"this process: the corpus .* is another text"):
        execute_run(refused, subject=subject, engine=LocalEngine())


def test_bad_input_is_told_before_anything_is_made(
    tmp_path: Path, corpus: Path, suite: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = {
        "(?:Mon": ("(Mon", "'dates/days'.*RE2"),
        "layer = 0": ("layer = 7", "'single/bank'.*layer 7"),
    }
    for old, (new, message) in wrong.items():
        suite.write_text(
            SUITE.replace(old, new, 1).replace(
                "|Tues|Fri)", "|Tues|Fri" if "Mon" in old else "|Tues|Fri)"
            )
        )
        assert run_command_line(bench(corpus, suite, tmp_path / "runs")) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert all(part in error for part in message.split(".*")), error
    assert run_command_line(bench(corpus, tmp_path / "none.toml", tmp_path / "runs")) == 2
    assert run_command_line(bench(corpus, suite, tmp_path / "runs", "--targets", "0")) == 2
    assert run_command_line(["bench", "null", "--suite", str(suite)]) == 2
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_scorers_are_held_against_the_truth(
    tmp_path: Path, corpus: Path, suite: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A scorer that sees the signal tells the truth from another unit's story; a constant judge cannot, ever."""
    run = bench(corpus, suite, tmp_path / "runs", "--json", "--name", "b")
    assert run_command_line([*run, "--scorers", "simulation,detection"]) == 0
    simulation, detection = lines(capsys)[-1]["summary"]["scorers"]
    assert (simulation["scorer"], detection["scorer"]) == ("simulation", "detection")
    assert (
        simulation["auroc"]["value"]
        == simulation["auroc_near"]["value"]
        == detection["auroc"]["value"]
        == 1.0
    )
    assert simulation["true"] > 0.9 > 0.3 > simulation["other"]
    assert simulation["coverage"] == {"targets": 2, "scored": 2, "failed": 0, "skipped": 0}
    assert simulation["explained"] == 3
    assert simulation["cost"]["calls"] == 0
    assert (
        run_command_line([*run, "--scorers", "detection,fuzzing", "--judge", "constant:yes"]) == 0
    )
    for row in lines(capsys)[-1]["summary"]["scorers"]:
        assert row["auroc"]["value"] == row["auroc_near"]["value"] == row["true"] == 0.5
        assert row["truth"] is None
        assert row["cost"]["calls"] > 0
    assert run_command_line([*run[:-3], "--name", "b"]) == 0
    assert "AUROC, near" not in capsys.readouterr().out


def test_the_nearest_false_explanation_is_the_most_alike_that_is_not_right() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 40, 16))
    truths = [a, a + 0.1 * b, a + 2 * b, b]  # correlations with a: 1, 1, 0.45, 0
    units = [PlantedMeaning(Unit("mlp", 0, i), "", truth) for i, truth in enumerate(truths)]
    others, nears = rivals_of(units, np.ones_like(a, dtype=bool), seed=3)
    assert nears[0] == 2  # the copy at place 1 would be right
    assert nears[3] is not None
    assert all(place not in (None, own) for own, place in enumerate(others))
    assert others == rivals_of(units, np.ones_like(a, dtype=bool), seed=3)[0]
    assert rivals_of(units[:1], np.ones_like(a, dtype=bool), seed=3) == ([None], [None])


@pytest.mark.parametrize("scorers", ["nonsense", "simulation,,"])
def test_unknown_scorers_are_refused_before_anything_is_made(
    tmp_path: Path, corpus: Path, suite: Path, capsys: pytest.CaptureFixture[str], scorers: str
) -> None:
    assert run_command_line(bench(corpus, suite, tmp_path / "runs", "--scorers", scorers)) == 2
    error = capsys.readouterr().err
    assert "known: " in error
    assert "detection" in error
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_the_page_of_an_evaluation_shows_what_is_true_over_the_score(
    tmp_path: Path, corpus: Path, suite: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = bench(corpus, suite, tmp_path / "runs", "--json", "--name", "b")
    assert run_command_line(run) == run_command_line(run) == 0
    events = [e for e in read_events(tmp_path / "runs" / "b") if e.event == "truth"]
    assert len(events) == 2  # the decidable units, and once
    assert all(e.data["recovered"] and e.data["r_truth"] > 0.9 for e in events)
    assert replay(tmp_path / "runs" / "b").mismatches == []
    page = tmp_path / "page.html"
    scored = [
        "eval",
        "b",
        "--runs",
        str(tmp_path / "runs"),
        "--scorers",
        "simulation",
        "-q",
        "--html",
        str(page),
    ]
    assert run_command_line(scored) == 0
    assert "Does a higher score mean more truth?" in page.read_text(encoding="utf-8")
    capsys.readouterr()
