"""The same sweep of patched heads by other libraries: what it costs, and whether the effects agree.

Each way runs in its own process on one thread, so that peak memory is its own: hubel, plain hooks
with one forward pass per head, and nnsight and TransformerLens if they are installed (`pip install
hubel[oracles]`). CPU seconds count from the loaded subject; wrapping it is counted separately.
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
from .speed.circuits import naive_heads, random_pairs
from .speed.ratios import seconds

if TYPE_CHECKING:
    from torch import Tensor

    from ..tools.circuits.prompts import PromptPairs
    from ..tools.subject import Subject
    from ..tools.subject.address import Unit

PEERS = {"nnsight": "nnsight", "transformer-lens": "transformer_lens"}
"""Name of the package to name of its module."""


class PeerCost(NamedTuple):
    """One way to patch heads.

    Attributes:
        seconds: CPU seconds of the sweep.
        wrapping: CPU seconds of preparing the subject for it.
        peak_mb: peak memory of the process, including the subject.
        difference: largest |effect - hubel's effect|, in logits.
    """

    name: str
    heads: int
    seconds: float
    wrapping: float
    peak_mb: float
    difference: float


def compare_peers(subject: str, layers: list[int]) -> list[PeerCost]:
    """Every installed way, on all heads of some layers; hubel comes first.

    Raises:
        UnavailableError: the process of a way failed; with the end of its error output.
    """
    names = ["hubel", "plain hooks", *(name for name, module in PEERS.items() if find_spec(module))]
    costs = [_in_process(name, subject, layers) for name in names]
    own = np.array(costs[0]["effects"])
    return [
        PeerCost(
            name,
            own.shape[0],
            cost["seconds"],
            cost["wrapping"],
            cost["peak_mb"],
            float(np.abs(np.array(cost["effects"]) - own).max()),
        )
        for name, cost in zip(names, costs, strict=True)
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
    """The process of one way: run the sweep and print one JSON object on the last line."""
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
    sweep_seconds = seconds(lambda: effects.extend(sweep(units).tolist()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    cost = {"seconds": sweep_seconds, "wrapping": wrapping, "peak_mb": peak, "effects": effects}
    sys.stdout.write(json.dumps(cost) + "\n")


HeadSweep = Callable[[list["Unit"]], Float[np.ndarray, "head pairs"]]
"""Effects of patching each of some heads."""


def _hubel(subject: Subject, pairs: PromptPairs) -> HeadSweep:
    from ..tools.circuits.selftest import open_circuit_model
    from ..tools.circuits.sweep import Sweep

    model = open_circuit_model(subject)
    return lambda units: Sweep(model, pairs).units(units).numpy()


def _plain(subject: Subject, pairs: PromptPairs) -> HeadSweep:
    return lambda units: naive_heads(subject, pairs, units)


def _nnsight(subject: Subject, pairs: PromptPairs) -> HeadSweep:
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


def _transformer_lens(subject: Subject, pairs: PromptPairs) -> HeadSweep:
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


WAYS: dict[str, Callable[[Subject, PromptPairs], HeadSweep]] = {
    "hubel": _hubel,
    "plain hooks": _plain,
    "nnsight": _nnsight,
    "transformer-lens": _transformer_lens,
}
"""Name to a function that prepares a sweep for a subject and pairs."""

if __name__ == "__main__":
    main(*sys.argv[1:])
