"""`hubel index --from-store`: directions from the activation store of a finished index."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hubel.agent.cli.main import run_command_line
from hubel.tools.corpus import read_corpus
from hubel.tools.index import Index, build_index
from hubel.tools.subject import load_subject
from hubel.tools.subject.address import Site, Unit
from tests.support.tiny import D_MODEL, WORDS, tiny_model, tiny_tokenizer


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A subject, a text, directions, and an index with a store."""
    folder = tmp_path_factory.mktemp("world")
    tokenizer = tiny_tokenizer()
    tiny_model(vocab_size=len(tokenizer)).save_pretrained(folder / "subject")
    tokenizer.save_pretrained(folder / "subject")
    words, rng = WORDS.split(), random.Random(0)
    texts = [" ".join(rng.choices(words, k=40)) for _ in range(40)]
    (folder / "text.jsonl").write_text("\n".join(json.dumps({"text": t}) for t in texts))
    (folder / "other.jsonl").write_text("\n".join(json.dumps({"text": t}) for t in texts[:-1]))
    rows = torch.randn(3, D_MODEL, generator=torch.Generator().manual_seed(0))
    save_file(
        {f"resid.1@d{i}": row.clone() for i, row in enumerate(rows)}, folder / "d.safetensors"
    )
    subject = load_subject(str(folder / "subject"))
    build_index(subject, read_corpus(str(folder / "text.jsonl")), folder / "i", store="all")
    return folder


def index(world: Path, out: Path, *options: str, corpus: str = "text.jsonl") -> int:
    argv = ["index", "--subject", str(world / "subject"), "--corpus", str(world / corpus)]
    argv += ["--out", str(out), "--sites", "resid", "--directions", str(world / "d.safetensors")]
    return run_command_line([*argv, *options])


def test_directions_are_those_of_a_pass(world: Path, tmp_path: Path, capsys) -> None:
    assert index(world, tmp_path / "store", "--from-store", str(world / "i")) == 0
    assert "forward pass" not in capsys.readouterr().out
    assert index(world, tmp_path / "pass") == 0
    ours, fresh = Index.open(tmp_path / "store"), Index.open(tmp_path / "pass")
    assert ours.shape == fresh.shape
    assert ours.sites == fresh.sites == (Site("resid", 1),)
    unit = Unit.parse("resid.1@d2")
    for found, expected in zip(
        ours.site_statistics(unit.place), fresh.site_statistics(unit.place), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=5e-3, atol=5e-3)
    tops = [[e.context for e in i.exemplars(unit)] for i in (ours, fresh)]
    assert tops[0] == tops[1]
    assert ours.vocabulary == fresh.vocabulary


def test_a_run_explains_directions_with_the_index_alone(
    world: Path, tmp_path: Path, capsys
) -> None:
    for name, options in (("pass", []), ("store", ["--from-store", str(world / "i")])):
        assert index(world, tmp_path / name, *options) == 0
        argv = ["run", "--index", str(tmp_path / name), "--targets", "resid.1@d0,resid.1@d2-"]
        assert run_command_line([*argv, "--name", name, "--runs", str(tmp_path)]) == 0
        capsys.readouterr()
        assert run_command_line(["show", name, "--json", "--runs", str(tmp_path)]) == 0
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [(row["target"], row["status"], row["layer"]) for row in rows] == [
            ("resid.1@d0", "done", 1),
            ("resid.1@d2-", "done", 1),
        ]
        argv = ["tool", "logit_lens", "--index", str(tmp_path / name), "unit=resid.1@d1"]
        assert run_command_line(argv) == 0
    vectors = tmp_path / "pass" / "directions.safetensors"
    vectors.write_bytes(vectors.read_bytes()[:-4] + bytes(4))
    capsys.readouterr()
    assert run_command_line([*argv[:3], str(tmp_path / "pass"), argv[-1]]) == 1
    assert "is damaged (other vectors of layer 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "corpus", "message"),
    [
        (("--context-len", "32"), "text.jsonl", "give --context-len 64"),
        (("--max-tokens", "100"), "text.jsonl", "leave out one of them"),
        ((), "other.jsonl", "not over this"),
    ],
)
def test_another_text_is_refused(
    world: Path, tmp_path: Path, capsys, options: tuple[str, ...], corpus: str, message: str
) -> None:
    status = index(world, tmp_path / "o", "--from-store", str(world / "i"), *options, corpus=corpus)
    assert status == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
