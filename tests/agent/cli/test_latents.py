"""Latents from a file of SAELens to verdicts: index, run, show, replay, eval and instruments."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.svm import LinearSVC

from hubel.agent.cli.main import run_command_line
from hubel.agent.runlog.log import RunLog
from tests.support.tiny import D_MODEL, WORDS, tiny_model, tiny_tokenizer

N_LATENTS = 6
WEEKDAYS = ("Monday", "Friday")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A subject, a text, a dictionary whose latent 0 fires on two words, an index and a run."""
    folder = tmp_path_factory.mktemp("world")
    tokenizer = tiny_tokenizer()
    model = tiny_model(vocab_size=len(tokenizer))
    model.save_pretrained(folder / "subject")
    tokenizer.save_pretrained(folder / "subject")
    words, rng = [*WORDS.split(), *WEEKDAYS], random.Random(0)
    texts = [" ".join(rng.choices(words, k=40)) for _ in range(120)]
    (folder / "text.jsonl").write_text("\n".join(json.dumps({"text": t}) for t in texts))
    save_dictionary(folder / "sae", tokenizer, model, texts)
    argv = ["index", "--subject", str(folder / "subject"), "--corpus", str(folder / "text.jsonl")]
    argv += [
        "--out",
        str(folder / "i"),
        "--dictionary",
        f"res={folder / 'sae'}",
        "--unchecked-dictionaries",
    ]
    assert run_command_line(argv) == 0
    argv = ["run", "--index", str(folder / "i"), "--targets", "sae.res.0-2,mlp.1.0", "--name", "r"]
    argv += ["--rotated", "3"]
    assert run_command_line([*argv, "--runs", str(folder / "runs")]) == 0
    return folder


def save_dictionary(folder: Path, tokenizer: Any, model: Any, texts: list[str]) -> None:
    """A JumpReLU autoencoder of the embedding; latent 0 fires on `WEEKDAYS` and on no other token of the texts."""
    generator = torch.Generator().manual_seed(0)
    encoder = torch.randn(D_MODEL, N_LATENTS, generator=generator)
    read = sorted(
        {i for text in texts for i in tokenizer(text, add_special_tokens=False).input_ids}
    )
    table = model.get_input_embeddings().weight.detach()[read]
    wanted = [i for w in WEEKDAYS for i in tokenizer(f" {w}", add_special_tokens=False).input_ids]
    is_weekday = np.isin(read, wanted)
    separator = LinearSVC(C=1e6, max_iter=100_000).fit(table.numpy(), is_weekday)
    encoder[:, 0] = torch.from_numpy(separator.coef_[0]).float()
    score = (table @ encoder[:, 0]).numpy()
    assert score[is_weekday].min() > score[~is_weekday].max()  # the latent is what it should be
    thresholds = torch.full((N_LATENTS,), float((table @ encoder[:, 1:]).quantile(0.9)))
    thresholds[0] = float((score[is_weekday].min() + score[~is_weekday].max()) / 2)
    folder.mkdir()
    save_file(
        {
            "W_enc": encoder,
            "b_enc": torch.zeros(N_LATENTS),
            "W_dec": torch.randn(N_LATENTS, D_MODEL, generator=generator),
            "b_dec": torch.zeros(D_MODEL),
            "threshold": thresholds,
        },
        folder / "sae_weights.safetensors",
    )
    config = {
        "architecture": "jumprelu", "d_in": D_MODEL, "d_sae": N_LATENTS, "dtype": "float32",
        "device": "cpu", "apply_b_dec_to_input": True, "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {"sae_lens_version": "6.54.12", "hook_name": "blocks.0.hook_resid_pre"},
    }  # fmt: skip
    (folder / "cfg.json").write_text(json.dumps(config))


def lines(capsys: pytest.CaptureFixture[str], *argv: str, status: int = 0) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert run_command_line([*argv, "--json"]) == status
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_latent_is_explained_and_replayed(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = ["--runs", str(world / "runs")]
    rows = lines(capsys, "show", "r", *runs)
    assert [row["target"] for row in rows] == ["sae.res.0", "sae.res.1", "sae.res.2", "mlp.1.0"]
    assert [row["layer"] for row in rows] == [-1, -1, -1, 1]  # what enters layer 0
    weekdays = rows[0]
    assert weekdays["status"] == "done"
    by_scorer = {s["scorer"]: s["value"] for s in weekdays["scores"] if s["split"] == "holdout"}
    assert by_scorer["simulation"] > 0.95
    replayed = lines(capsys, "replay", "r", *runs)
    assert [{**row, "reviews": []} for row in replayed] == rows


def test_latents_are_compared_with_random_ones(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The floor *rotated* of a latent: the mean of random latents; found in the cache by a later run."""
    (event,) = RunLog(world / "runs" / "r", writable=False).all("rotated").values()
    assert (event["layer"], event["dictionary"], len(event["directions"])) == (-1, "res", 3)
    runs = ["--runs", str(world / "runs")]
    values = [
        score["value"]
        for direction in event["directions"]
        for score in direction["scores"]
        if (score["scorer"], score["text"]) == ("simulation", "random")
    ]
    for row in lines(capsys, "show", "r", *runs)[:3]:
        (floors,) = (s["floors"] for s in row["scores"] if is_held_out_r(s))
        assert floors["rotated"] == pytest.approx(np.mean(values))
    again = lines(capsys, "eval", "r", "--scorers", "simulation", *runs)[0]
    (score,) = (s for s in again["scores"] if is_held_out_r(s))
    assert score["floors"]["rotated"] == pytest.approx(np.mean(values))
    argv = ["run", "--index", str(world / "i"), "--targets", "sae.res.1", "--rotated", "3"]
    assert run_command_line([*argv, "--name", "later", "--runs", str(tmp_path)]) == 0
    (later,) = RunLog(tmp_path / "later", writable=False).all("rotated").values()
    assert later == event


def test_what_a_latent_causes_is_compared_with_other_latents(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["eval", "r", "--scorers", "intervention", "--runs", str(world / "runs")]
    row = lines(capsys, *argv)[0]
    (score,) = (score for score in row["scores"] if score["scorer"] == "intervention")
    assert (score["split"], score["floors"]["chance"]) == ("holdout", pytest.approx(1 / 3))


def is_held_out_r(score: dict[str, Any]) -> bool:
    return (score["scorer"], score["split"], score["text"]) == ("simulation", "holdout", "random")


def test_scores_on_the_index_again(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = world / "table.csv"
    table.write_text("target,explanation\nsae.res.0,\"words('monday')\"\n")
    argv = ["eval", str(table), "--index", str(world / "i"), "--scorers", "simulation"]
    capsys.readouterr()
    (row,) = lines(capsys, *argv, "--runs", str(world / "runs"))
    assert (row["target"], row["layer"]) == ("sae.res.0", -1)


def test_eval_and_show_agree_on_the_layer(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(world / "sae", tmp_path / "sae")
    config = json.loads((tmp_path / "sae" / "cfg.json").read_text())
    config["metadata"]["hook_name"] = "blocks.1.hook_resid_post"
    (tmp_path / "sae" / "cfg.json").write_text(json.dumps(config))
    argv = ["index", "--subject", str(world / "subject"), "--corpus", str(world / "text.jsonl")]
    argv += ["--dictionary", f"deep={tmp_path / 'sae'}", "--unchecked-dictionaries"]
    assert run_command_line([*argv, "--sites", "sae", "--out", str(tmp_path / "i")]) == 0
    argv = ["run", "--index", str(tmp_path / "i"), "--targets", "sae.deep", "--name", "d"]
    assert run_command_line([*argv, "--runs", str(tmp_path)]) == 0
    shown = lines(capsys, "show", "d", "--runs", str(tmp_path))
    scored = lines(capsys, "eval", "d", "--scorers", "simulation", "--runs", str(tmp_path))
    assert {row["layer"] for row in shown} == {row["layer"] for row in scored} == {1}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("activations.on_text", {"units": ["sae.res.0"], "texts": ["very Monday said Friday"]}),
        ("activations.exemplars", {"unit": "sae.res.0"}),
        ("activations.statistics", {"unit": "sae.res.0"}),
        ("activations.search", {"text": "very Monday said Friday", "sites": ["sae"]}),
        ("activations.search", {"token": " Monday", "sites": ["sae"]}),
        ("corpus.search", {"unit": "sae.res.0", "pattern": "Monday"}),
        ("units.matching", {"words": ["Monday"], "sites": ["sae"]}),
        ("ablate", {"unit": "sae.res.0", "texts": ["very Monday said Friday"]}),
        (
            "steer",
            {"unit": "sae.res.0", "text": "very Monday", "strengths": [2.0], "new_tokens": 2},
        ),
        ("patch", None),
        ("logit_lens", {"unit": "sae.res.0"}),
        ("nearest", {"unit": "sae.res.0"}),
        ("upstream", {"unit": "sae.res.0", "text": "very Monday said Friday"}),
        ("coactivating", {"unit": "sae.res.0"}),
        ("compare", {"unit": "sae.res.0", "text": "very Monday said", "other": "very red said"}),
    ],
)
def test_instruments_take_a_latent(
    world: Path, capsys: pytest.CaptureFixture[str], name: str, arguments: dict[str, Any] | None
) -> None:
    if arguments is None:
        arguments = {"units": ["sae.res.0"], "base": "very red said", "source": "very Monday said"}
    argv = ["tool", name, "--index", str(world / "i"), "--json", json.dumps(arguments)]
    capsys.readouterr()
    status = run_command_line(argv)
    printed = capsys.readouterr()
    assert status == 0, printed.err
    result = json.loads(printed.out)
    assert "sae.res.0" in printed.out, result


def test_a_dictionary_that_moved_or_changed_is_one_line(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(world / "sae", tmp_path / "sae")
    argv = ["index", "--subject", str(world / "subject"), "--corpus", str(world / "text.jsonl")]
    argv += ["--dictionary", f"res={tmp_path / 'sae'}", "--sites", "sae"]
    capsys.readouterr()
    assert run_command_line([*argv, "--out", str(tmp_path / "i")]) == 2
    assert "does not fit stream.-1" in capsys.readouterr().err
    argv.append("--unchecked-dictionaries")
    assert run_command_line([*argv, "--out", str(tmp_path / "i")]) == 0
    tool = ["tool", "logit_lens", "--index", str(tmp_path / "i"), "unit=sae.res.0"]
    config = json.loads((tmp_path / "sae" / "cfg.json").read_text())
    config["metadata"]["model_name"] = "another"
    (tmp_path / "sae" / "cfg.json").write_text(json.dumps(config))
    capsys.readouterr()
    assert run_command_line(tool) == 2
    assert "is no longer the dictionary 'res' that the index" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "sae")
    assert run_command_line(tool) == 2
    error = capsys.readouterr().err
    assert "which is no longer at" in error
    assert "Traceback" not in error
