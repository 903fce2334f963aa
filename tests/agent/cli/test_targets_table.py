"""The table of a run's targets in the terminal: with the parts of explanations, and of a run without them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from hubel.agent.cli.main import run_command_line
from hubel.agent.cli.targets_table import COLUMNS, NOT_RECORDED, OLD_COLUMNS
from hubel.agent.review.run_catalog import RunCatalog
from hubel.agent.review.target_page import target_page
from hubel.agent.runlog.layout import COLLECTED
from hubel.agent.runlog.verdict_score import verdict_score
from hubel.agent.runlog.views import target_rows
from hubel.bench.synthetic_run import make_run
from hubel.evals.artefact import artefact
from hubel.tools.dissection import Predicate
from hubel.tools.dissection.predicate import GRADES
from hubel.tools.index import Collected
from hubel.tools.subject.address import Unit


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made run of 40 targets, and one as older versions wrote it."""
    folder = tmp_path_factory.mktemp("runs")
    make_run(folder / "made", 40)
    make_run(folder / "older", 5, parts=False)
    return folder


def shown(runs: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run_command_line(["show", "--runs", str(runs), *arguments]) == 0
    return capsys.readouterr().out


def test_tier_and_headline_come_first_and_means_of_the_parts_last(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [json.loads(line) for line in shown(runs, capsys, "made", "--json").splitlines()]
    text = shown(runs, capsys, "made")
    lines = text.strip().splitlines()
    assert lines[0].split() == " ".join((*COLUMNS, "note")).split()
    first = rows[0]
    assert first["tier"] in lines[2]
    assert first["headline"] in lines[2]
    means = {
        name: sum(s["value"] for row in rows for s in row["scores"] if s["scorer"] == name) / 40
        for name in ("meaning", "headline")
    }
    expected = f"(meaning {means['meaning']:.3f}, headline {means['headline']:.3f}, list 0.300)"
    assert expected in lines[-1]
    counts = {tier: sum(row["tier"] == tier for row in rows) for tier in ("clear", "diffuse")}
    assert f"{counts['clear']} clear, " in lines[-1]
    assert f", {counts['diffuse']} diffuse;" in lines[-1]
    assert NOT_RECORDED not in text


def test_artefact_is_noted_in_its_row_only(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [json.loads(line) for line in shown(runs, capsys, "made", "--json").splitlines()]
    noted = [row["target"] for row in rows if row["artefact"]]
    assert 0 < len(noted) < len(rows)
    lines = shown(runs, capsys, "made").splitlines()
    assert [line.split()[0] for line in lines if "artefact: " in line] == noted


def test_older_run_says_once_what_it_does_not_record(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = json.loads(shown(runs, capsys, "older", "--json").splitlines()[0])
    assert {row[key] for key in ("tier", "headline", "meaning", "residue", "bits")} == {None}
    text = shown(runs, capsys, "older")
    assert text.count(NOT_RECORDED) == 1
    assert text.split()[:2] == list(OLD_COLUMNS[:2])
    assert row["explanation"] in text


def test_target_is_told_headline_first_then_parts_and_degrees(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = json.loads(shown(runs, capsys, "made", "mlp.0.5", "--json"))
    text = shown(runs, capsys, "made", "mlp.0.5").splitlines()
    word, token = row["predicate"].split('"')[1::2]
    degrees = ", ".join(f"{name} {steps}" for name, steps in GRADES.items())
    assert text[:4] == [
        f"mlp.0.5: {row['tier']} {row['verdict']}",
        f"  {row['headline']}",
        f"  {row['explanation']}",
        f"  {row['reason']}",
    ]
    assert f"  artefact: {row['artefact']}" in text
    assert f'     +8  words after "{word}"' in text
    assert f'  and some tokens by name: "{token}" +3' in text
    assert f"  degrees in steps: {degrees}; one step is 1 of activation" in text


def test_target_is_told_what_its_formula_does_not_cover(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = target_page(RunCatalog(finished.parent).run(finished.name), "mlp.0.0")
    text = shown(finished.parent, capsys, finished.name, "mlp.0.0")
    told = re.findall(r"not covered: (\d+) of the (\d+) .*, side ([-+])", text)
    missed = [m for m in page["misses"] if m["missed"]]
    assert told == [(str(m["missed"]), str(m["of"]), m["side"]) for m in missed]


def test_run_logs_which_explanations_rest_on_the_cutting(finished: Path) -> None:
    explore = Collected.open(finished / COLLECTED, "explore")
    rows = [row for row in target_rows(finished) if row["explanation"]]
    assert rows
    for row in rows:
        predicate = Predicate.parse(row["predicate"] or "")
        signal = explore.signal(Unit.parse(row["target"]))
        assert row["artefact"] == artefact(predicate, signal, explore.mask)


def test_a_run_by_layer_counts_every_target_once(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = target_rows(runs / "made")
    printed = shown(runs, capsys, "made", "--by-layer", "--json")
    layers = [json.loads(line) for line in printed.splitlines()]
    names = [f"{row['site']}.{row['layer']}" for row in layers]
    assert sorted(set(names)) == sorted(names)
    assert sum(row["targets"] for row in layers) == len(rows)
    for name, of_layer in zip(names, layers, strict=True):
        mine = [row for row in rows if row["target"].startswith(f"{name}.")]
        scores = [score["value"] for row in mine if (score := verdict_score(row))]
        assert of_layer["targets"] == len(mine)
        assert of_layer["kept"] == sum(row["verdict"] == "kept" for row in mine)
        assert of_layer["r"] == (np.median(scores) if scores else None)
        ended = sum(of_layer[verdict] for verdict in ("kept", "rejected", "inconclusive"))
        assert ended + of_layer["failed"] + of_layer["pending"] == len(mine)
