"""Files of dictionaries that are damaged, dangerous or of something else: one line each."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from hubel.tools.dictionaries.read import read_dictionary
from hubel.tools.errors import HubelError
from tests.support.dictionary_files import (
    saelens_case,
    sparsify_case,
    write_saelens,
    write_sparsify,
)


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a JSON file or the tensors of a safetensors file."""
    if path.suffix == ".json":
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
    else:
        tensors = load_file(path)
        change(tensors)
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def spoil(tensors: dict[str, Any]) -> None:
    tensors["W_enc"][0, 0] = float("nan")


BAD: dict[str, tuple[str, Callable[[Path], object]]] = {
    "missing tensor": (
        r"no tensor 'b_enc'",
        lambda f: rewrite(f / "sae_weights.safetensors", lambda t: t.pop("b_enc")),
    ),
    "nan": (
        r"'W_enc' .* has 1 numbers that are NaN",
        lambda f: rewrite(f / "sae_weights.safetensors", spoil),
    ),
    "transposed": (
        r"says d_in 6 and d_sae 12; it is transposed",
        lambda f: rewrite(f / "sae_weights.safetensors", lambda t: t.update(W_enc=t["W_enc"].T)),
    ),
    "another width": (
        r"'W_dec' .* has the shape \(12, 5\); expected \(12, 6\)",
        lambda f: rewrite(
            f / "sae_weights.safetensors", lambda t: t.update(W_dec=t["W_dec"][:, :5])
        ),
    ),
    "more tensors": (
        r"holds 'W_more', which this kind",
        lambda f: rewrite(f / "sae_weights.safetensors", lambda t: t.update(W_more=t["W_dec"] + 0)),
    ),
    "whole numbers": (
        r"'b_dec' .* is of type I64",
        lambda f: rewrite(
            f / "sae_weights.safetensors", lambda t: t.update(b_dec=t["b_dec"].long())
        ),
    ),
    "cut weights": (r"are cut short or damaged", lambda f: cut(f / "sae_weights.safetensors")),
    "cut configuration": (r"cfg.json' is cut short or no JSON", lambda f: cut(f / "cfg.json")),
    "a list": (
        r"holds a list; expected a JSON object",
        lambda f: (f / "cfg.json").write_text("[1]"),
    ),
    "unknown architecture": (
        r"'architecture' .* is 'temporal' \(its latents depend on earlier .*\); known are standard",
        lambda f: rewrite(f / "cfg.json", lambda c: c.update(architecture="temporal")),
    ),
    "unknown normalisation": (
        r"'normalize_activations' .* is 'batch'",
        lambda f: rewrite(f / "cfg.json", lambda c: c.update(normalize_activations="batch")),
    ),
    "no k": (
        r"'k' in .* is missing; expected a whole number",
        lambda f: rewrite(f / "cfg.json", lambda c: c.update(architecture="topk")),
    ),
    "width as text": (
        r"'d_in' .* is '6'",
        lambda f: rewrite(f / "cfg.json", lambda c: c.update(d_in="6")),
    ),
    "unknown hook": (
        r"no place is known for the hook 'blocks.1.hook_q'",
        lambda f: rewrite(
            f / "cfg.json", lambda c: c["metadata"].update(hook_name="blocks.1.hook_q")
        ),
    ),
    "no hook": (
        r"does not say where the dictionary reads",
        lambda f: rewrite(f / "cfg.json", lambda c: c["metadata"].pop("hook_name")),
    ),
    "one head": (
        r"reads one attention head \(3\)",
        lambda f: rewrite(f / "cfg.json", lambda c: c["metadata"].update(hook_head_index=3)),
    ),
    "no weights": (
        r"is no dictionary of a known format",
        lambda f: (f / "sae_weights.safetensors").unlink(),
    ),
    "a fifo": (
        r"is no dictionary of a known format",
        lambda f: ((f / "cfg.json").unlink(), os.mkfifo(f / "cfg.json")),
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_one_line_says_what_is_wrong(name: str, tmp_path: Path) -> None:
    message, damage = BAD[name]
    folder = write_saelens(tmp_path, saelens_case("standard"))
    damage(folder)
    with pytest.raises(HubelError, match=message) as caught:
        read_dictionary(folder, "a")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_folder_that_is_no_dictionary(tmp_path: Path) -> None:
    with pytest.raises(HubelError, match="no folder or file"):
        read_dictionary(tmp_path / "nothing", "a")
    (tmp_path / "notes.txt").write_text("hello")
    for path in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(
            HubelError, match=r"no dictionary of a known format \(SAELens: cfg\.json"
        ):
            read_dictionary(path, "a")


def test_sparsify_with_a_folder_named_otherwise_and_groups_that_do_not_divide(
    tmp_path: Path,
) -> None:
    folder = write_sparsify(tmp_path, sparsify_case(), "my-sae")
    with pytest.raises(HubelError, match="does not say where the dictionary reads"):
        read_dictionary(folder, "a")
    folder = write_sparsify(tmp_path, sparsify_case("groupmax"))
    rewrite(folder / "cfg.json", lambda config: config.update(k=5))
    with pytest.raises(HubelError, match="12 latents cannot be split into k = 5 equal groups"):
        read_dictionary(folder, "a")


class Evil:
    """Would make a file if it were unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save(
        {"encoder.weight": torch.zeros(3, 2), "x": Evil(tmp_path / "ran")}, tmp_path / "ae.pt"
    )
    with pytest.raises(HubelError, match="is refused: a pickle may carry code") as caught:
        read_dictionary(tmp_path, "a")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()
    (tmp_path / "ae.pt").write_bytes(b"not a pickle")
    with pytest.raises(HubelError, match="is refused"):
        read_dictionary(tmp_path, "a")
    torch.save([1, 2], tmp_path / "ae.pt")
    with pytest.raises(HubelError, match="holds a list; expected a table of tensors"):
        read_dictionary(tmp_path, "a")


def test_an_npz_that_is_cut_or_pickled(tmp_path: Path) -> None:
    import numpy as np

    np.savez(tmp_path / "params.npz", W_enc=np.array([{"a": 1}], dtype=object))
    with pytest.raises(HubelError, match="is cut short, or no plain archive"):
        read_dictionary(tmp_path, "a")
    np.savez(tmp_path / "params.npz", W_enc=np.zeros((3, 4)))
    cut(tmp_path / "params.npz")
    with pytest.raises(HubelError, match="is cut short, or no plain archive"):
        read_dictionary(tmp_path, "a")
