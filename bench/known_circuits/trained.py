"""Tiny transformers that were trained and not compiled: seconds on one thread, seeded, and kept in
the cache.

1. A GPT-2 of two layers with four heads each, in single precision.
2. AdamW with a linear warm-up and a cosine's way down, on sequences drawn anew at each step.
3. Accuracy on sequences of another seed; a model that is right less often than `GOOD` is refused,
   since there is no circuit to look for in what cannot do its task.

Which edges such a model uses is not known. What can be asked: is the circuit that a method finds
faithful on prompts that the method has not seen, and, for induction, does it hold the heads that
look like induction's?
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel

from ...tools.circuits.circuit_model import CircuitModel
from ...tools.circuits.prompts import PromptPairs
from ...tools.circuits.selftest import open_circuit_model
from ...tools.errors import UnavailableError
from ...tools.files import atomic_folder, cache_dir
from ...tools.subject.subject import Subject
from . import training_tasks
from .training_tasks import Lesson, lesson
from .word_tokenizer import word_level

LAYERS, HEADS, WIDTH, NEURONS = 2, 4, 48, 96
BATCH, RATE, WARM_UP = 64, 4e-3, 50
RECIPE = hashlib.sha256(
    b"".join(Path(file).read_bytes() for file in (training_tasks.__file__, __file__))
).hexdigest()[:8]
"""Of the code that makes a model; models made by other code are trained anew."""
GOOD, TRIED = 0.99, 2000
"""Least share of right answers, and sequences that it is measured on."""
OTHERS = 32
"""Prompts among which a twin with another answer is looked for; a pair that finds none is left out."""


class Trained(NamedTuple):
    """A trained model and how well it does its task; seconds are CPU seconds of its training."""

    lesson: Lesson
    model: CircuitModel
    accuracy: float
    seconds: float


def trained(name: str, seed: int = 0, root: Path | None = None) -> Trained:
    """The model of a lesson, trained when it is not in the cache.

    Raises:
        UsageError: an unknown name.
        UnavailableError: training did not come to `GOOD`.
    """
    taught = lesson(name)
    folder = (root or cache_dir()) / "trained" / f"{name}-{seed}-{RECIPE}"
    if not (folder / "training.json").exists():
        _train(taught, seed, folder)
    model = _blank(taught)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    facts = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    words = ["<start>", *(f"t{index}" for index in range(1, taught.vocabulary))]
    subject = Subject(model, word_level(words), name=f"{name}/trained/{seed}")
    return Trained(taught, open_circuit_model(subject), facts["accuracy"], facts["seconds"])


def _train(taught: Lesson, seed: int, folder: Path) -> None:
    started = time.process_time()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _blank(taught).train()
    rng = np.random.default_rng([seed, 0])
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, taught.steps))
    for _ in range(taught.steps):
        ids, targets = map(torch.as_tensor, taught.draw(rng, BATCH))
        loss = cross_entropy(model(ids).logits.flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    accuracy, seconds = _accuracy(model.eval(), taught, seed), time.process_time() - started
    if accuracy < GOOD:
        raise UnavailableError(
            f"the model of {taught.name!r}, seed {seed}, gives {accuracy:.1%} right answers after {taught.steps} steps "
            f"and not the {GOOD:.0%} that a circuit is looked for in; take another seed"
        )
    with atomic_folder(folder) as part:
        save_file(
            {key: value.contiguous() for key, value in model.state_dict().items()},
            part / "model.safetensors",
        )
        facts = json.dumps(
            {"accuracy": accuracy, "seconds": round(seconds, 2), "steps": taught.steps}
        )
        (part / "training.json").write_text(facts, encoding="utf-8")


def _rate(step: int, steps: int) -> float:
    return min(1.0, (step + 1) / WARM_UP) * 0.5 * (1 + np.cos(np.pi * step / steps))


@torch.no_grad()
def _accuracy(model: Any, taught: Lesson, seed: int) -> float:
    ids, targets = map(torch.as_tensor, taught.draw(np.random.default_rng([seed, 1]), TRIED))
    return float((model(ids).logits[:, -1].argmax(-1) == targets[:, -1]).float().mean())


def _blank(taught: Lesson) -> Any:
    length = taught.draw(np.random.default_rng(0), 1).ids.shape[1]
    config = GPT2Config(
        vocab_size=taught.vocabulary, n_positions=length, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, n_inner=NEURONS,
        activation_function="relu", tie_word_embeddings=False, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return GPT2LMHeadModel(config)


def pairs_of_lesson(taught: Lesson, n: int, seed: int = 0) -> PromptPairs:
    """n prompts, each with another one that has another answer, which is the foil."""
    rng = np.random.default_rng([seed, 2])
    clean, twins = taught.draw(rng, n), taught.draw(rng, OTHERS * n)
    same = clean.targets[:, -1:] == twins.targets[:, -1].reshape(n, OTHERS)
    picks = OTHERS * np.arange(n) + same.argmin(1)  # the first with another answer
    kept = np.flatnonzero(~same.all(1))
    ids, answers = (torch.as_tensor(each[kept]) for each in (clean.ids, clean.targets[:, -1:]))
    others, foils = (
        torch.as_tensor(each[picks[kept]]) for each in (twins.ids, twins.targets[:, -1:])
    )
    return PromptPairs(ids, others, answers, foils)
