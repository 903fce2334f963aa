"""delphi's cache of latents, and from it the windows that its explainer was shown.

Folder of a module: `config.json`, and shards `START_END.safetensors` (END inclusive) with `locations`
(sequence, position, latent - START), `activations` (float16, above 1e-5 only) and `tokens` (all
sequences, again in every shard).

Which windows an explainer saw is not written down, but follows from the cache (delphi 0.1.3,
`latents/constructors.py` and `samplers.py`):

1. Sequences are cut into windows of `example_ctx_len`; those in which the latent fires are sorted by
   their maximum, largest first.
2. `n_examples_train` of them are drawn: the first (`top`), any (`random`), or the same number out of
   each of `n_quantiles` parts (`quantiles`, the default), with Python's generator seeded with 22.

Equal maxima may be in another order there, so that a window may be taken for its equal.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...tools.errors import UsageError
from ...tools.files.regular_file import IrregularFileError, check_regular
from .records import SeenText
from .source_json import read_object

if TYPE_CHECKING:
    from jaxtyping import Float, Int

MAX_SHARD_BYTES = 8 << 30
SMALLEST = 1e-5
"""delphi keeps no smaller value."""
SEED = 22
TRAIN, QUANTILES, CONTEXT = 40, 10, 32
"""delphi's defaults: windows shown, parts they are drawn from, tokens of each."""


class LatentActivations(NamedTuple):
    """Where a latent fires."""

    sequence: Int[np.ndarray, " n"]
    position: Int[np.ndarray, " n"]
    value: Float[np.ndarray, " n"]


# ---------------------------------------------------------------- writing


def write_cache(
    folder: Path,
    signals: Mapping[int, Float[np.ndarray, "context seq"]],
    tokens: Int[np.ndarray, "context seq"],
    about: Mapping[str, str],
) -> None:
    """Write the cache of one module: one shard from the first latent to the last.

    Args:
        signals: each latent's value at every token.
        about: `model_name` and `dataset_repo`.
    """
    from safetensors.numpy import save_file

    first, last = min(signals), max(signals)
    locations, values = [], []
    for latent, signal in sorted(signals.items()):
        sequence, position = np.nonzero(np.abs(signal) > SMALLEST)
        latents = np.full(len(sequence), latent - first)
        locations.append(np.stack([sequence, position, latents], axis=1))
        values.append(signal[sequence, position])
    rows = np.concatenate(locations)
    width = np.uint16 if rows.max(initial=0) < 1 << 16 else np.uint32
    folder.mkdir(parents=True)
    tensors = {
        "locations": np.ascontiguousarray(rows.astype(width)),
        "activations": np.concatenate(values).astype(np.float16),
        "tokens": np.ascontiguousarray(tokens.astype(np.int64)),
    }
    save_file(tensors, folder / f"{first}_{last}.safetensors")
    config = {
        "dataset_repo": about["dataset_repo"],
        "dataset_split": "train",
        "dataset_name": "",
        "dataset_column": "text",
        "batch_size": 1,
        "cache_ctx_len": int(tokens.shape[1]),
        "ctx_len": int(tokens.shape[1]),
        "n_tokens": int(tokens.size),
        "n_splits": 1,
        "model_name": about["model_name"],
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")


# ---------------------------------------------------------------- reading


@dataclass(frozen=True)
class LatentCache:
    """The cache of one module, opened when a latent is asked for."""

    folder: Path

    @cached_property
    def _shards(self) -> list[tuple[int, int, Path]]:
        shards = []
        for path in self.folder.glob("*.safetensors"):
            first, _, last = path.stem.partition("_")
            if not (first.isdigit() and last.isdigit() and int(first) <= int(last)):
                raise UsageError(f"{path}: a shard is named START_END.safetensors")
            shards.append((int(first), int(last), path))
        return sorted(shards)

    def find(self, latent: int) -> tuple[LatentActivations, Int[np.ndarray, "sequence seq"]] | None:
        """Where a latent fires, and all tokens; None if no shard has it."""
        for first, last, path in self._shards:
            if first <= latent <= last:
                locations, values, tokens = _read_shard(path)
                mine = locations[:, 2] == latent - first
                sequence, position = locations[mine, 0], locations[mine, 1]
                return LatentActivations(sequence, position, values[mine]), tokens
        return None


def _read_shard(path: Path) -> tuple[Any, Any, Any]:
    """Locations, activations and tokens of a shard, checked to belong together."""
    from safetensors import SafetensorError, safe_open

    try:
        check_regular(path, max_bytes=MAX_SHARD_BYTES)
        with safe_open(path, framework="numpy") as file:
            names = set(file.keys())
            if missing := {"locations", "activations", "tokens"} - names:
                raise UsageError(
                    f"{path} has no tensor {min(missing)!r}; it has {', '.join(sorted(names))}"
                )
            locations = file.get_tensor("locations").astype(np.int64)
            values = file.get_tensor("activations").astype(np.float32)
            tokens = file.get_tensor("tokens").astype(np.int64)
    except (SafetensorError, IrregularFileError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}; copy it again") from error
    fits = locations.ndim == tokens.ndim == 2 and locations.shape == (len(values), 3)
    if not fits or not np.isfinite(values).all():
        raise UsageError(f"{path}: locations and activations do not fit, or a value is not finite")
    if len(locations) and (locations[:, :2].max(axis=0) >= tokens.shape).any():
        raise UsageError(f"{path}: a location is outside of its {tokens.shape[0]} sequences")
    return locations, values, tokens


# ---------------------------------------------------------------- what the explainer saw


@dataclass(frozen=True)
class PromptSampling:
    """How delphi drew the windows of a prompt, from `run_config.json`."""

    n: int = TRAIN
    quantiles: int = QUANTILES
    kind: str = "quantiles"
    ratio_top: float = 0.2
    context: int = CONTEXT
    whole_windows: bool = True
    """`center_examples`, which in delphi 0.1.3 means that windows are *not* moved."""

    @classmethod
    def read(cls, path: Path) -> PromptSampling:
        """The settings of a run, delphi's defaults where it does not say."""
        if not path.exists():
            return cls()
        config = read_object(path)
        sampler, constructor = config.child("sampler_cfg"), config.child("constructor_cfg")
        values: dict[str, Any] = {}
        if sampler is not None:
            for name, key in (("n", "n_examples_train"), ("quantiles", "n_quantiles")):
                if key in sampler:
                    values[name] = sampler.whole(key)
            values["kind"] = sampler.text("train_type", cls.kind)
            if "ratio_top" in sampler:
                values["ratio_top"] = sampler.number("ratio_top")
        if constructor is not None:
            if "example_ctx_len" in constructor:
                values["context"] = constructor.whole("example_ctx_len")
            if "center_examples" in constructor:
                values["whole_windows"] = constructor.truth("center_examples")
        return cls(**values)

    def problem(self, sequence: int) -> str:
        """Why the prompt cannot be told from the cache; "" if it can."""
        if not self.whole_windows:
            return "windows were moved to the strongest token (center_examples false)"
        if not self.context or sequence % self.context:
            return f"example_ctx_len {self.context} does not divide sequences of {sequence} tokens"
        if not self.quantiles or self.kind not in ("top", "random", "quantiles", "mix"):
            return f"train_type {self.kind!r} is not known"
        return ""

    def drawn(self, count: int) -> list[int]:
        """The windows that were shown, out of `count` in the order of their maxima."""
        order = list(range(count))
        if self.kind == "top":
            return order[: self.n]
        if self.kind == "random":
            generator = random.Random(SEED)
            return order if count < self.n else generator.sample(order, self.n)
        if self.kind == "mix":
            top = int(self.n * self.ratio_top)
            rest = self._of_quantiles(order[top:], int(self.n * (1 - self.ratio_top)))
            return [*order[:top], *rest]
        return list(self._of_quantiles(order, self.n))

    def _of_quantiles(self, order: list[int], n: int) -> Iterator[int]:
        generator = random.Random(SEED)
        size, each = len(order) // self.quantiles, n // self.quantiles
        for number in range(self.quantiles):
            part = order[number * size : (number + 1) * size]
            yield from part if len(part) < each else generator.sample(part, each)


def prompt_windows(
    fires: LatentActivations,
    tokens: Int[np.ndarray, "sequence seq"],
    sampling: PromptSampling,
    vocabulary: list[str],
) -> list[SeenText]:
    """The windows that the explainer was shown, as texts of the role `prompt`.

    Raises:
        UsageError: a token id is not in the vocabulary.
    """
    context = sampling.context
    windows = tokens.reshape(-1, context)
    flat = fires.sequence * tokens.shape[1] + fires.position
    numbers = flat // context
    firing, inverse = np.unique(numbers, return_inverse=True)
    values = np.zeros((len(firing), context), np.float32)
    values[inverse, flat % context] = fires.value
    order = np.argsort(-values.max(axis=1, initial=-np.inf), kind="stable")
    chosen = [int(order[place]) for place in sampling.drawn(len(order))]
    return [_text(windows[firing[row]], values[row], vocabulary) for row in chosen]


def _text(
    ids: Int[np.ndarray, " context"], values: Float[np.ndarray, " context"], vocabulary: list[str]
) -> SeenText:
    if int(ids.max()) >= len(vocabulary) or int(ids.min()) < 0:
        raise UsageError(
            f"the cache has token {int(ids.max())}, but the index's subject only {len(vocabulary)} tokens; "
            "give the index of the subject that the file is about"
        )
    tokens = tuple(vocabulary[i] for i in ids)
    numbers = tuple(float(value) for value in values)
    return SeenText(tokens, numbers, "prompt", "drawn", ids=tuple(map(int, ids)))
