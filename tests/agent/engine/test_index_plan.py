"""What one worker decides for all shards of an index; here the worker is this process."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from hubel.agent.engine import LocalEngine, Piece, PieceOutcome, SubjectChoice
from hubel.agent.engine.index_pieces import PLAN, holding, index_on_engine, shards_folder
from hubel.agent.engine.index_plan import IndexOrder
from hubel.agent.runlog.progress import Reporter
from hubel.bench.soak.kill_shards import index_files
from hubel.tools.corpus import read_corpus
from hubel.tools.dictionaries.attach import attach_dictionaries
from hubel.tools.dictionaries.named_source import NamedSource
from hubel.tools.errors import UnavailableError, UsageError
from hubel.tools.files.sealed_json import read_sealed
from hubel.tools.index import build_index
from hubel.tools.subject import load_subject
from tests.support.tiny import D_MODEL, WORDS, tiny_model, tiny_tokenizer

SHARE = "hubel.tools.index.activation_store.folder.DISK_SHARE"


class StoppedAfterOne(LocalEngine):
    """Stops as Ctrl-C does when one shard is done."""

    workers = 3

    def run(self, pieces: Iterable[Piece]) -> Iterator[PieceOutcome]:
        for outcome in super().run(pieces):
            yield outcome
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A subject, a text, a dictionary that explains all of its place, and one that explains nothing."""
    folder = tmp_path_factory.mktemp("world")
    tokenizer = tiny_tokenizer()
    tiny_model(vocab_size=len(tokenizer)).save_pretrained(folder / "subject")
    tokenizer.save_pretrained(folder / "subject")
    words, rng = WORDS.split(), random.Random(0)
    texts = [" ".join(rng.choices(words, k=40)) for _ in range(120)]
    (folder / "text.jsonl").write_text("\n".join(json.dumps({"text": t}) for t in texts))
    identity, noise = torch.eye(D_MODEL), torch.randn(2 * D_MODEL, D_MODEL)
    both_signs = torch.cat([identity, -identity])
    _save_dictionary(folder / "exact", both_signs.T, both_signs)
    _save_dictionary(folder / "noise", both_signs.T, noise)
    return folder


def _save_dictionary(folder: Path, encoder: torch.Tensor, decoder: torch.Tensor) -> None:
    folder.mkdir()
    weights = {"W_enc": encoder, "W_dec": decoder}
    weights |= {"b_enc": torch.zeros(len(decoder)), "b_dec": torch.zeros(D_MODEL)}
    save_file({k: v.contiguous() for k, v in weights.items()}, folder / "sae_weights.safetensors")
    config = {
        "architecture": "standard", "d_in": D_MODEL, "d_sae": len(decoder), "dtype": "float32",
        "device": "cpu", "apply_b_dec_to_input": False, "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {"sae_lens_version": "6.54.12", "hook_name": "blocks.1.hook_resid_pre"},
    }  # fmt: skip
    (folder / "cfg.json").write_text(json.dumps(config))


def _order(world: Path, *dictionaries: str, store: Any = "auto", seed: int = 0) -> IndexOrder:
    subject, corpus = str(world / "subject"), str(world / "text.jsonl")
    revision = load_subject(subject, device="cpu").revision
    choice = SubjectChoice(subject, revision, "cpu", dictionaries=dictionaries)
    sites = ("mlp", "head", "sae") if dictionaries else ("mlp", "head")
    text = read_corpus(corpus).sha256
    return IndexOrder(choice, corpus, text, sites, None, None, 64, seed, store)


def _index(order: IndexOrder, out: Path, engine: Any = None, **options: Any) -> list[str]:
    """Index on an engine; returns the warnings."""
    warned: list[str] = []
    with holding(out):
        index_on_engine(engine or LocalEngine(), order, out, Reporter(), warned.append, **options)
    return warned


def test_all_shards_store_what_the_first_start_decided(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, out = _order(world), tmp_path / "i"
    monkeypatch.setattr(SHARE, 0.0)  # no disk has room
    with pytest.raises(KeyboardInterrupt):
        _index(order, out, StoppedAfterOne())
    monkeypatch.undo()
    assert read_sealed(shards_folder(out) / PLAN)["store"] == "none"
    assert _index(order, out) == []  # there is room now, but shards without a store are there
    corpus = read_corpus(str(world / "text.jsonl"))
    subject = load_subject(str(world / "subject"), device="cpu")
    build_index(subject, corpus, tmp_path / "one")
    assert index_files(out) == index_files(tmp_path / "one")
    assert not shards_folder(out).exists()


def test_auto_stores_what_one_process_stores(world: Path, tmp_path: Path) -> None:
    _index(_order(world), tmp_path / "i", shards=3)
    corpus = read_corpus(str(world / "text.jsonl"))
    subject = load_subject(str(world / "subject"), device="cpu")
    build_index(subject, corpus, tmp_path / "one", store="auto")
    assert "store/explore/store.json" in index_files(tmp_path / "one")
    assert index_files(tmp_path / "i") == index_files(tmp_path / "one")


def test_dictionaries_are_checked_once_as_in_one_process(world: Path, tmp_path: Path) -> None:
    exact, noise = f"exact={world / 'exact'}", f"noise={world / 'noise'}"
    with pytest.raises(UsageError, match=r"'noise' does not fit .*--unchecked-dictionaries takes"):
        _index(_order(world, exact, noise), tmp_path / "refused", check=True)
    assert list(tmp_path.glob("refused*/**/*")) == []
    _index(_order(world, exact), tmp_path / "i", check=True, shards=2)
    _index(_order(world, noise), tmp_path / "unchecked", check=False, shards=2)
    corpus = read_corpus(str(world / "text.jsonl"))
    subject = load_subject(str(world / "subject"), device="cpu")
    attach_dictionaries(subject, [NamedSource.parse(exact)], documents=corpus.documents)
    build_index(subject, corpus, tmp_path / "one", sites=("mlp", "head", "sae"), store="auto")
    assert index_files(tmp_path / "i") == index_files(tmp_path / "one")


def test_a_finished_index_is_left_as_it_is_and_another_is_refused_before_the_work(
    world: Path, tmp_path: Path
) -> None:
    out = tmp_path / "i"
    _index(_order(world, store="none"), out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    (line,) = _index(_order(world, store="all"), out, StoppedAfterOne())  # no shard is computed
    assert "without an activation store" in line
    with pytest.raises(UsageError, match="holds an index of another seed"):
        _index(_order(world, seed=1), out, StoppedAfterOne())
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert not shards_folder(out).exists()


def test_an_index_is_held_by_one_process(tmp_path: Path) -> None:
    with (
        holding(tmp_path / "i"),
        pytest.raises(UnavailableError, match="another process is computing the index"),
        holding(tmp_path / "i"),
    ):
        pass
