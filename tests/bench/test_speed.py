"""`hubel bench speed` on a tiny subject: its parts, the choice of them, and processes that fail."""

from __future__ import annotations

import json
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from hubel.agent.cli.main import run_command_line
from hubel.agent.runlog.layout import COLLECTED
from hubel.agent.runlog.progress import progress
from hubel.bench.speed import (
    demo,
    directions,
    memory,
    run_memory,
    session,
    shard_memory,
    tool,
    worker_memory,
    workers,
)
from hubel.bench.speed.process_cost import ProcessCost, run_process
from hubel.bench.speed.run import cpu_by_phase
from hubel.bench.speed.speed_bench import SpeedBench
from hubel.bench.speed.timeline import TimelineBar, draw_timeline
from hubel.bench.speed.verdicts import RunDifferences, compare_runs
from hubel.bench.tiny_subject import word_tokenizer
from hubel.tools.errors import UnavailableError
from tests.support.tiny import WORDS, tiny_model


@pytest.fixture(scope="module")
def subject_and_corpus(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options of a tiny subject in a folder, and of a text of 200 documents."""
    place = tmp_path_factory.mktemp("speed")
    tokenizer = word_tokenizer()
    tiny_model(vocab_size=len(tokenizer)).save_pretrained(place / "subject")
    tokenizer.save_pretrained(place / "subject")
    rng, words = np.random.default_rng(0), np.array(WORDS.split())
    lines = [f"{n}: {' '.join(rng.choice(words, 70))}." for n in range(200)]
    (place / "text.txt").write_text("\n".join(lines))
    return ["--subject", str(place / "subject"), "--corpus", str(place / "text.txt")]


def rows(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_an_index_with_a_store_and_one_without(subject_and_corpus: list[str], capsys) -> None:
    command = ["bench", "speed", *subject_and_corpus, "--only", "index", "--quiet", "--json"]
    assert run_command_line(command) == 0
    without, stored, in_8_bits = rows(capsys)
    assert without["part"] == stored["part"] == "index"
    assert without["tokens"] == stored["tokens"] > 10_000
    assert min(row["cpu_over_forward"] for row in (without, stored)) > 1
    # 2 bytes for each number of an MLP's input; norm, heads and losses weigh much on 16 dimensions
    assert 2 < stored["store_bytes_a_token_layer_dimension"] < 4
    assert "store_bytes_a_token_layer_dimension" not in without
    sizes = [row["store_bytes_a_token_layer_dimension"] for row in (in_8_bits, stored)]
    assert sizes[0] <= sizes[1]  # equal if all layers have to stay in 16 bits


def test_a_session_that_stays_open(subject_and_corpus: list[str], capsys) -> None:
    command = ["bench", "speed", *subject_and_corpus, "--only", "session", "--quiet", "--json"]
    assert run_command_line(command) == 0
    loading, *calls = rows(capsys)
    assert loading["ratio"] > 1
    assert {row["name"].removesuffix(", open session") for row in calls} == set(session.CALLS)


@pytest.mark.slow
def test_runs_from_a_store_and_from_a_pass_agree(subject_and_corpus: list[str], capsys) -> None:
    command = ["bench", "speed", *subject_and_corpus, "--only", "verdicts", "--quiet", "--json"]
    assert run_command_line(command) == 0
    measured = {row["name"]: row for row in rows(capsys)}
    assert len(measured) == 2
    assert min(row["peak_rss_mb"] for row in measured.values()) > 10
    compared = measured["verdicts from a pass"]
    assert compared["targets"] == 20
    assert compared["verdicts_differ"] == 0
    assert 0 < compared["largest_difference_of_an_activation"] < 0.01


def test_units_are_ranked_as_by_a_pass(subject_and_corpus: list[str], capsys) -> None:
    command = ["bench", "speed", *subject_and_corpus, "--only", "matching", "--quiet", "--json"]
    assert run_command_line(command) == 0
    (row,) = rows(capsys)
    assert (row["part"], row["naive_way"]) == ("matching", "a pass over explore, all units")
    assert row["ratio"] > 0


def test_an_unknown_part_lists_the_known_ones(capsys) -> None:
    assert run_command_line(["bench", "speed", "--only", "index,lunch"]) == 2
    assert "--only 'lunch' given; choose from ratios, index, tool" in capsys.readouterr().err


def test_a_process_that_fails_is_no_measurement() -> None:
    program = "import sys; sys.stderr.write('no such luck'); sys.exit(3)"
    with pytest.raises(UnavailableError, match="ended with 3: no such luck"):
        run_process([sys.executable, "-c", program], dict(os.environ))


def test_the_peak_of_a_process_is_not_that_of_the_process_that_started_it() -> None:
    held = np.ones(30_000_000)  # 240 MB
    cost = run_process([sys.executable, "-c", "print(1)"], dict(os.environ))
    assert held.nbytes / 2**20 > 200 > 60 > cost.peak_mb
    large = "x = bytearray(150 << 20); print(len(x))"
    assert run_process([sys.executable, "-c", large], dict(os.environ)).peak_mb > 150


def test_the_cost_of_a_process_includes_its_children() -> None:
    child = "sum(range(10**6))"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}]); print(1)"
    cost = run_process([sys.executable, "-c", parent], dict(os.environ))
    assert cost.output == "1\n"
    assert cost.cpu_seconds > 0
    assert cost.peak_mb > 1


def test_a_run_compared_with_a_changed_copy(finished: Path, tmp_path: Path) -> None:
    same = compare_runs(finished, finished)
    assert same == RunDifferences(targets=5, verdicts=[], formulas=[], r=0, activation=0)
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    path = copy / COLLECTED / "explore.safetensors"
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    arrays, select = load_file(path), load_file(copy / COLLECTED / "select.safetensors")
    largest = np.abs(arrays["activations"][0, :, 1:]).max()
    arrays["activations"][0, :, 1:] *= 0.5
    save_file(arrays, path, header["__metadata__"])
    changed = compare_runs(copy, finished)
    expected = 0.5 * largest / max(largest, np.abs(select["activations"][0, :, 1:]).max())
    assert changed.activation == pytest.approx(float(expected), rel=0.01)


def test_phases_of_a_run_add_up_to_its_process(finished: Path) -> None:
    phases = cpu_by_phase(finished, 1000.0)
    assert next(iter(phases)) == "start"
    assert list(phases)[-1] == "end"
    assert {"collect", "nearest units", "propose", "select", "verify", "explain"} <= set(phases)
    assert sum(phases.values()) == pytest.approx(1000.0)
    assert min(phases.values()) >= 0


def test_the_demo_is_measured_on_its_own_subject_and_corpus(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_cache, fetched = tmp_path / "user", []
    monkeypatch.setenv("HUBEL_CACHE", str(user_cache))

    def fetch(name: str, *_: object) -> None:
        fetched.append(name)
        for folder in demo.SET_UP:
            (user_cache / folder).mkdir(parents=True, exist_ok=True)

    def hubel(bench: SpeedBench, *arguments: str, cache: Path) -> ProcessCost:
        assert {path.name for path in cache.iterdir()} == set(demo.SET_UP)
        shutil.copytree(finished, bench.runs / arguments[0])
        return ProcessCost(2.0, 1000.0, 500.0, "")

    monkeypatch.setattr("hubel.tools.subject.locate.subject_folder", fetch)
    monkeypatch.setattr("hubel.tools.corpus.read_corpus", fetch)
    monkeypatch.setattr(SpeedBench, "hubel", hubel)
    settings = ("another-subject", "another-corpus", "cpu", "float32", None, None)
    with progress(quiet=True) as reporter:
        (row,) = demo.demo(SpeedBench(*settings, tmp_path / "bench", reporter))
    assert fetched == ["smollm2-135m", "lee-news"]
    assert (row.wall_seconds, row.figures) == (2.0, {"peak_rss_mb": 500.0})


def test_a_short_bar_is_drawn_again_enlarged() -> None:
    bars = [
        TimelineBar("before", {"load": 10, "collect": 290}),
        TimelineBar("after <store>", {"load": 5, "collect": 10}),
    ]
    drawing = draw_timeline("a run", bars)
    root = ElementTree.fromstring(drawing)
    texts = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "before: 300.0 s" in texts
    assert "after <store>, enlarged 20 times: 15.0 s" in texts
    widths = [float(node.get("width", 0)) for node in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert sum(widths[1:3]) == sum(widths[5:7]) == 960  # the longest, and the enlarged one


def test_a_picture_needs_a_run(capsys, tmp_path: Path) -> None:
    command = ["bench", "speed", "--only", "ratios", "--picture", str(tmp_path / "p.svg")]
    assert run_command_line(command) == 2
    assert "--picture draws runs" in capsys.readouterr().err


def test_random_directions_from_the_store(
    subject_and_corpus: list[str], capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directions, "N_DIRECTIONS", 40)
    command = ["bench", "speed", *subject_and_corpus, "--only", "directions", "--quiet", "--json"]
    assert run_command_line([*command, "--max-tokens", "4096"]) == 0
    (row,) = rows(capsys)
    assert row["name"] == "40 random directions of layer 1"
    assert 3000 < row["tokens"] <= 4096


@pytest.mark.slow
def test_memory_and_tools_in_their_own_processes(
    subject_and_corpus: list[str], capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "POINTS", ((2048, 1),))
    monkeypatch.setattr(memory, "TARGETS", (4,))
    monkeypatch.setattr(tool, "REPEATS", 1)
    command = ["bench", "speed", *subject_and_corpus, "--only", "memory,tool"]
    assert run_command_line([*command, "--quiet", "--json"]) == 0
    measured = rows(capsys)
    assert [row["part"] for row in measured] == ["tool"] * 3 + ["memory"] * 2
    assert min(row["peak_rss_mb"] for row in measured) > 10


@pytest.mark.slow
def test_memory_of_shards_and_of_runs(
    subject_and_corpus: list[str], capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_memory, "POINTS", ((2048, 2),))
    monkeypatch.setattr(run_memory, "TARGETS", (4,))
    command = ["bench", "speed", *subject_and_corpus, "--only", "shard-memory,run-memory"]
    assert run_command_line([*command, "--max-tokens", "4096", "--quiet", "--json"]) == 0
    shards, *commands = rows(capsys)
    assert min(shards["shard_peak_rss_mb"], shards["merge_peak_rss_mb"]) > 10
    names = [f"memory of {name}, 4 targets" for name in ("run", *run_memory.AFTERWARDS)]
    assert [row["name"] for row in commands] == names
    assert min(row["peak_rss_mb"] for row in commands) > 10


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (the extra `ray`)")
def test_a_worker_over_one_process(
    subject_and_corpus: list[str], capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("WARM", 1), ("COUNTED", 4), ("REPEATS", 1), ("CALLS", 5)):
        monkeypatch.setattr(workers, name, value)
    monkeypatch.setattr(worker_memory, "PIECES", (2,))
    monkeypatch.setattr(worker_memory, "TARGETS", (4,))
    command = ["bench", "speed", *subject_and_corpus, "--only", "workers,worker-memory"]
    assert run_command_line([*command, "--max-tokens", "4096", "--quiet", "--json"]) == 0
    measured = rows(capsys)
    memory_rows = [row for row in measured if row["part"] == "worker-memory"]
    assert min(row["driver_peak_rss_mb"] for row in memory_rows) > 10
    assert min(row["worker_peak_rss_mb"] for row in memory_rows) > 10
    one, by_worker, call, more = (row for row in measured if row["part"] == "workers")
    parts = [by_worker[f"{part}_cpu_ms_a_target"] for part in ("driver", "worker", "ray")]
    assert by_worker["cpu_ms_a_target"] == pytest.approx(sum(parts), abs=0.1)
    difference = by_worker["cpu_ms_a_target"] - one["cpu_ms_a_target"]
    assert more["more_ms_a_target"] == pytest.approx(difference, abs=0.1)
    assert call["wall_ms"] > 0
