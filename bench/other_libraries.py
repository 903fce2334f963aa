"""The same sweep of patched heads by other libraries: what it costs, and whether the answers agree.

Each way runs in a process of its own on one thread, so that its peak memory is its own: this
engine, plain hooks with a whole pass a head, and nnsight and TransformerLens where they are
installed (`pip install hubel[oracles]`). CPU seconds count from the loaded subject; wrapping it is
counted apart.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float

from ..tools.errors import UnavailableError
from .circuits_speed import naive_heads, random_pairs
from .speed import seconds

if TYPE_CHECKING:
    from torch import Tensor

    from ..tools.circuits.prompts import PromptPairs
    from ..tools.subject import Subject
    from ..tools.subject.address import Unit

PEERS = {"nnsight": "nnsight", "transformer-lens": "transformer_lens"}
"""Name on the package registry to name of the module."""


class Peer(NamedTuple):
    """One way to patch heads.

    Attributes:
        seconds: CPU seconds of the sweep; `wrapping`: of making the subject ready for it.
        peak_mb: peak memory of the process, with the subject in it.
        difference: largest |effect - this engine's|, in logits.
    """

    name: str
    heads: int
    seconds: float
    wrapping: float
    peak_mb: float
    difference: float


def compare_peers(subject: str, layers: list[int]) -> list[Peer]:
    """Every way that is installed, on all heads of some layers; this engine comes first.

    Raises:
        UnavailableError: a way's process failed, with the end of what it said.
    """
    names = ["hubel", "plain hooks", *(name for name, module in PEERS.items() if find_spec(module))]
    found = [_in_process(name, subject, layers) for name in names]
    own = np.array(found[0]["effects"])
    return [
        Peer(
            name,
            own.shape[0],
            each["seconds"],
            each["wrapping"],
            each["peak_mb"],
            float(np.abs(np.array(each["effects"]) - own).max()),
        )
        for name, each in zip(names, found, strict=True)
    ]


def _in_process(name: str, subject: str, layers: list[int]) -> dict[str, Any]:
    command = [sys.executable, "-m", __name__, name, subject, *map(str, layers)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    if done.returncode:
        raise UnavailableError(f"patching heads by {name} failed: {done.stderr.strip()[-400:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main(name: str, subject_name: str, *layers: str) -> None:
    """What the process of one way does; its last line is JSON."""
    import torch

    from ..tools.subject import load_subject
    from ..tools.subject.address import Unit

    torch.set_num_threads(1)
    subject = load_subject(subject_name, device="cpu")
    pairs = random_pairs(subject)
    units = [
        Unit("head", int(layer), head) for layer in layers for head in range(subject.shape.n_heads)
    ]
    started = time.process_time()
    sweep = WAYS[name](subject, pairs)
    wrapping = time.process_time() - started
    effects: list[Any] = []
    taken = seconds(lambda: effects.extend(sweep(units).tolist()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": taken, "wrapping": wrapping, "peak_mb": peak, "effects": effects}))  # noqa: T201


Heads = Callable[[list["Unit"]], Float[np.ndarray, "head pairs"]]


def _hubel(subject: Subject, pairs: PromptPairs) -> Heads:
    from ..tools.circuits.selftest import open_circuit_model
    from ..tools.circuits.sweep import Sweep

    model = open_circuit_model(subject)
    return lambda units: Sweep(model, pairs).units(units).numpy()


def _plain(subject: Subject, pairs: PromptPairs) -> Heads:
    return lambda units: naive_heads(subject, pairs, units)


def _nnsight(subject: Subject, pairs: PromptPairs) -> Heads:
    import torch

    wrapped: Any = import_module("nnsight").NNsight(subject.model)

    def sweep(units: list[Unit]) -> np.ndarray:
        values: dict[int, Tensor] = {}
        with torch.inference_mode():
            for layer in sorted({unit.layer for unit in units}):
                with wrapped.trace(pairs.corrupted):
                    values[layer] = wrapped.model.layers[layer].self_attn.o_proj.input.save()
            with wrapped.trace(pairs.clean):
                clean = wrapped.output.logits[:, -1].save()
            effects = [
                patched(unit, values[unit.layer]) - pairs.logit_difference(clean) for unit in units
            ]
        return torch.stack(effects).numpy()

    def patched(unit: Unit, values: Tensor) -> Tensor:
        columns = slice(unit.index * subject.head_dim, (unit.index + 1) * subject.head_dim)
        with wrapped.trace(pairs.clean):
            wrapped.model.layers[unit.layer].self_attn.o_proj.input[:, :, columns] = values[
                :, :, columns
            ]
            logits = wrapped.output.logits[:, -1].save()
        return pairs.logit_difference(logits)

    return sweep


def _transformer_lens(subject: Subject, pairs: PromptPairs) -> Heads:
    import torch

    bridge: Any = import_module(
        "transformer_lens.model_bridge"
    ).TransformerBridge.boot_transformers(
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        hf_model=subject.model,
        tokenizer=subject.tokenizer,
        device="cpu",
    )

    def sweep(units: list[Unit]) -> np.ndarray:
        with torch.inference_mode():
            _, cache = bridge.run_with_cache(pairs.corrupted)  # the library's usual first step
            clean = pairs.logit_difference(bridge(pairs.clean)[:, -1])
            effects: list[Tensor] = []
            for unit in units:
                name = f"blocks.{unit.layer}.attn.hook_z"
                values = cache[name].reshape(*pairs.clean.shape, -1)
                columns = slice(unit.index * subject.head_dim, (unit.index + 1) * subject.head_dim)

                def patch(
                    value: Tensor, hook: Any, values: Tensor = values, columns: slice = columns
                ) -> Tensor:
                    new = value.reshape(values.shape).clone()
                    new[..., columns] = values[..., columns]
                    return new.reshape(value.shape)

                logits = bridge.run_with_hooks(pairs.clean, fwd_hooks=[(name, patch)])
                effects.append(pairs.logit_difference(logits[:, -1]) - clean)
        return torch.stack(effects).numpy()

    return sweep


WAYS: dict[str, Callable[[Subject, PromptPairs], Heads]] = {
    "hubel": _hubel,
    "plain hooks": _plain,
    "nnsight": _nnsight,
    "transformer-lens": _transformer_lens,
}
"""Name to what makes a subject and pairs ready for a sweep."""

if __name__ == "__main__":
    main(*sys.argv[1:])
