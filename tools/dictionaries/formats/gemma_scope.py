"""Gemma Scope: `params.npz` with W_enc (width, latents), W_dec, b_enc, b_dec and threshold; JumpReLU.

Nothing in the file says where it reads. The path does, if the folders keep the names that they have
on the hub, such as `gemma-scope-2b-pt-res/layer_12/width_16k/average_l0_71`. Transcoders read the
MLP's input before its norm's weight.
"""

from __future__ import annotations

import re
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from ...errors import CorruptError, UsageError
from ...files.regular_file import open_regular
from ...subject.address import Site, VectorKind
from ..activations import JumpRelu
from ..dictionary import Dictionary, InputForm
from ..files import NamedWeights, digest
from .given_places import GivenPlaces

FILE = "params.npz"
_LAYER = re.compile(r"layer_(\d+)")
_HOOKS: dict[str, VectorKind] = {
    "res": "stream",
    "mlp": "mlp_out",
    "att": "z",
    "transcoders": "mlp_in",
}
_KIND = re.compile(rf"gemma-scope-\w+-\w+-({'|'.join(_HOOKS)})\b")
_MODEL = re.compile(r"gemma-scope-(\d+b)-(pt|it)")


def matches(source: Path) -> bool:
    """Whether a folder or file is one dictionary of this format."""
    return (source / FILE).is_file() or (source.name == FILE and source.is_file())


def read(source: Path, name: str, given: GivenPlaces) -> Dictionary:
    """Read a folder or its `params.npz`.

    Raises:
        UsageError: an array is missing or of another shape, or the path does not say where it reads.
        CorruptError: the file is cut short.
    """
    path = source if source.is_file() else source / FILE
    weights = _read_npz(path)
    size = weights.shape("b_enc", 1)[0]
    width, width_out = weights.shape("b_dec", 1)[0], weights.shape("W_dec")[1]
    where = path.absolute().as_posix()  # not resolved: the hub's cache links to hashes
    if "embedding" in where:
        raise UsageError(
            f"{str(path)!r} is of the embedding, whose scale its file does not state; not supported"
        )
    layer, kind = _LAYER.search(where), _KIND.search(where)
    transcodes = bool(kind) and kind[1] == "transcoders" if kind else False
    stated = Site(_HOOKS[kind[1]], int(layer[1])) if layer and kind else None
    reads, writes = given.resolve(
        f"the path {where!r} (expected gemma-scope-...-res/layer_12/...)",
        stated,
        None,
        transcodes=transcodes,
    )
    form: InputForm = "before_norm_weight" if transcodes and given.reads is None else "plain"
    model = _MODEL.search(where)
    dictionary = Dictionary(
        name,
        reads,
        writes,
        encoder=weights.take("W_enc", width, size),
        encoder_bias=weights.take("b_enc", size),
        decoder=weights.take("W_dec", size, width_out),
        decoder_bias=weights.take("b_dec", width_out),
        activation=JumpRelu(weights.take("threshold", size)),
        subtracts_bias=False,
        input_form=form,
        model=f"gemma-2-{model[1]}{'-it' if model[2] == 'it' else ''}" if model else "",
        sha256=digest([path]),
        source=str(source),
    )
    weights.refuse_others()
    return dictionary


def _read_npz(path: Path) -> NamedWeights:
    try:
        with open_regular(path) as file, np.load(file, allow_pickle=False) as arrays:
            tensors = {_canonical(key): _tensor(arrays[key]) for key in arrays.files}
    except (BadZipFile, EOFError, OSError, ValueError, TypeError) as error:
        raise CorruptError(
            f"{str(path)!r} is cut short, or no plain archive of arrays ({type(error).__name__}: "
            f"{str(error)[:80]}); fetch it again"
        ) from error
    return NamedWeights(repr(str(path)), tensors)


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


def _canonical(key: str) -> str:
    """W_enc of w_enc; other names stay."""
    return f"W{key[1:]}" if key.startswith("w_") else key
