"""Other tools' own loaders accept what is exported, and read the same numbers out of it.

Skipped where a tool is not installed. HUBEL_ORACLES is a Python that has them (or several, with ":"):
inspect-ai, eai-delphi, automated-interpretability, sae-bench, pandas.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hubel.agent.exchange.config import ImportConfig
from hubel.agent.exchange.export_run import export_run
from hubel.agent.exchange.formats.delphi import read_delphi
from hubel.agent.exchange.from_run import set_of_run
from hubel.agent.exchange.imported import write_set
from hubel.agent.exchange.places import PlaceNames
from hubel.agent.exchange.records import ExplanationSet
from hubel.agent.exchange.registry import ReadOptions
from hubel.agent.exchange.run_texts import RunTexts

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).parents[2] / "support" / "other_loaders.py"
PACKAGES = {
    "inspect": "inspect_ai",
    "delphi": "delphi",
    "openai": "neuron_explainer",
    "saebench": "sae_bench",
    "pandas": "pandas",
}


def read_by(tool: str, path: Path) -> Any:
    """What a tool's loader reads."""
    for python in os.environ.get("HUBEL_ORACLES", sys.executable).split(":"):
        find = f"import importlib.util as u, sys; sys.exit(u.find_spec({PACKAGES[tool]!r}) is None)"
        if subprocess.run([python, "-c", find], check=False).returncode == 0:
            command = [python, str(SCRIPT), tool, str(path)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            return json.loads(done.stdout.rpartition("RESULT ")[2])
    pytest.skip(f"{PACKAGES[tool]} is not installed; HUBEL_ORACLES names a Python that has it")


def held_out_r(folder: Path) -> dict[str, float]:
    """The headline score of each unit of a run."""
    scores = {
        unit.unit: unit.score("simulation", "holdout", "random") for unit in set_of_run(folder)
    }
    return {unit: score.value for unit, score in scores.items() if score is not None}


@pytest.mark.parametrize("suffix", [".json", ".eval"])
def test_inspect_reads_the_log(example: Path, tmp_path: Path, suffix: str) -> None:
    # its tables take JSON of such names only
    path = tmp_path / f"2026-01-31T00-00-00+00-00_example_x{suffix}"
    export_run(example, "inspect", path)
    log = read_by("inspect", path)
    read = {
        id: sample["scores"]["simulation/holdout/random"] for id, sample in log["samples"].items()
    }
    expected = held_out_r(example)
    assert read == expected
    assert log["means"]["simulation/holdout/random"] == pytest.approx(
        np.mean(list(expected.values()))
    )
    assert (log["status"], log["rows"], log["task"]) == ("success", 5, "example")
    assert log["summaries"] == 5


def test_inspect_reads_a_failure_as_an_error(hostile_set: ExplanationSet, tmp_path: Path) -> None:
    write_set(tmp_path / "runs" / "made", hostile_set, ImportConfig("x", "run"))
    export_run(tmp_path / "runs" / "made", "inspect", tmp_path / "x.eval")
    samples = read_by("inspect", tmp_path / "x.eval")["samples"]
    assert samples["mlp.1.6"] == {
        "scores": {},
        "error": "the model refused",
        "completion": "",
        "messages": 0,
    }
    assert samples["mlp.1.5"]["completion"] == hostile_set.units[0].sentence


def test_delphi_reads_cache_and_explanations(example: Path, tmp_path: Path) -> None:
    export_run(example, "delphi", tmp_path / "x")
    read = read_by("delphi", tmp_path / "x")
    texts = RunTexts(example)
    names = {
        "layers.1.neurons_latent977": "mlp.1.977",
        "layers.10.negative-neurons_latent1352": "mlp.10.1352-",
        "layers.25.heads_latent2": "head.25.2",
    }
    assert set(names) <= set(read["records"])
    assert len(read["records"]) == 5
    for latent, unit in names.items():
        signal = texts.signal(unit)
        assert read["records"][latent]["largest"] == pytest.approx(float(signal.max()), rel=1e-3)
        assert read["records"][latent]["windows"] == int((np.abs(signal) > 1e-5).any(axis=1).sum())
    words = {unit.unit: unit.words for unit in set_of_run(example)}
    assert read["explanations"]["layers.25.heads_latent2"] == words["head.25.2"]


@pytest.mark.parametrize("kind", ["quantiles", "top"])
def test_the_windows_of_delphis_prompt_are_told_from_the_cache(
    example: Path, tmp_path: Path, kind: str
) -> None:
    """delphi's own sampler draws the windows that are read as those of the prompt."""
    export_run(example, "delphi", tmp_path / "x")
    (tmp_path / "x" / "hubel.json").unlink()
    config = json.loads((tmp_path / "x" / "run_config.json").read_text())
    config["constructor_cfg"]["example_ctx_len"] = 32
    config["sampler_cfg"] = {"n_examples_train": 20, "train_type": kind}
    (tmp_path / "x" / "run_config.json").write_text(json.dumps(config))
    read = read_by("delphi", tmp_path / "x")
    options = ReadOptions(PlaceNames(), RunTexts(example).strings)
    for unit in read_delphi(tmp_path / "x", options):
        module, _, number = unit.place.partition(" latent ")
        theirs = read["records"][f"{module}_latent{number}"]["shown"]
        ours = [list(text.ids) for text in unit.texts_of("prompt")]
        # equal maxima of float16 may be in another order; drawn by chance, about 1 of 20 would agree
        assert len(ours) == len(theirs) == 20
        assert sum(window in theirs for window in ours) >= 16


def test_openais_package_reads_records_and_scores(example: Path, tmp_path: Path) -> None:
    export_run(example, "openai", tmp_path / "x")
    read = read_by("openai", tmp_path / "x")
    expected = held_out_r(example)
    assert read["explanations/1/977"]["score"] == expected["mlp.1.977"]
    assert read["explanations.heads/25/2"]["score"] == expected["head.25.2"]
    assert {(len(unit["train"]), unit["valid"]) for unit in read.values()} == {(5, 10)}


def test_saebench_reads_its_result(hostile_set: ExplanationSet, tmp_path: Path) -> None:
    write_set(tmp_path / "runs" / "made", hostile_set, ImportConfig("x", "run"))
    export_run(tmp_path / "runs" / "made", "saebench", tmp_path / "x.json")
    assert read_by("saebench", tmp_path / "x.json") == {"score": 0.7, "std": 0.0, "latents": 1}


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_pandas_reads_the_table(example: Path, tmp_path: Path, suffix: str) -> None:
    export_run(example, suffix, tmp_path / f"x.{suffix}")
    read = read_by("pandas", tmp_path / f"x.{suffix}")["r"]
    assert read == pytest.approx(held_out_r(example), rel=1e-14)  # its JSON reader rounds


def test_latex_sets_the_table(hostile_set: ExplanationSet, tmp_path: Path) -> None:
    latex = shutil.which("pdflatex")
    if latex is None:
        pytest.skip("pdflatex is not installed")
    letters = "".join(map(chr, range(0xA1, 0x180)))  # pdfLaTeX stops at some of them
    obeyed = (
        letters,
        r"\input{/etc/passwd} \\ ^^5c",
        "[1pt] ,, ?` --",
        "long words " * 300,
        "%",
        "}{ & $$",
        "",
    )
    more = tuple(
        replace(hostile_set.units[0], unit=f"mlp.0.{n}", sentence=words, gist="")
        for n, words in enumerate(obeyed)
    )
    hostile_set = replace(hostile_set, units=(*hostile_set.units, *more))
    write_set(tmp_path / "runs" / "made", hostile_set, ImportConfig("x", "run"))
    export_run(tmp_path / "runs" / "made", "latex", tmp_path / "x.tex")
    packages = r"\usepackage[T1]{fontenc}\usepackage{textcomp}\usepackage{booktabs}"
    page = rf"\documentclass{{article}}{packages}\begin{{document}}\input{{x.tex}}\end{{document}}"
    (tmp_path / "page.tex").write_text(page)
    command = [latex, "-halt-on-error", "-interaction=nonstopmode", "page.tex"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
