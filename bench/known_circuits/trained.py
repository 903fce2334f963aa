"""Tiny transformers that are trained, not compiled: seconds on one thread, seeded, and cached.

1. A GPT-2 of two layers with four heads each, in single precision.
2. AdamW with linear warm-up and cosine decay, on fresh sequences at each step.
3. Accuracy on sequences of another seed. A model below `MIN_ACCURACY` is refused: what cannot do
   its task has no circuit for it.

Which edges such a model uses is unknown. What can be tested: is the circuit that a method finds
faithful on prompts that the method has not seen, and, for induction, does it contain the heads that
look like induction heads?
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from copy import deepcopy
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel

from ...tools.circuits.circuit_model import CircuitModel
from ...tools.circuits.prompts import PromptPairs
from ...tools.circuits.selftest import open_circuit_model
from ...tools.errors import UnavailableError
from ...tools.files import atomic_folder, cache_dir, file_sha256
from ...tools.files.sealed_json import read_sealed, write_sealed
from ...tools.subject.subject import Subject
from . import training_tasks
from .training_tasks import TrainingTask, training_task
from .word_tokenizer import word_level

LAYERS, HEADS, WIDTH, NEURONS = 2, 4, 48, 96
BATCH, RATE, WARM_UP = 64, 4e-3, 50
RECIPE = hashlib.sha256(
    b"".join(Path(file).read_bytes() for file in (training_tasks.__file__, __file__))
).hexdigest()[:8]
"""Hash of the code that trains a model; a model of other code is trained again."""
MIN_ACCURACY, TEST_SEQUENCES = 0.99, 2000
TWIN_CANDIDATES = 32
"""Prompts per pair that are searched for a twin with another answer; without one the pair is left out."""


class TrainedModel(NamedTuple):
    """A trained model.

    Attributes:
        accuracy: share of right answers on `TEST_SEQUENCES` sequences.
        seconds: CPU seconds of its training.
    """

    task: TrainingTask
    model: CircuitModel
    accuracy: float
    seconds: float


def load_trained(name: str, seed: int = 0, root: Path | None = None) -> TrainedModel:
    """The model of a training task, trained now if it is not in the cache.

    Raises:
        UsageError: an unknown name.
        UnavailableError: training did not reach `MIN_ACCURACY`.
    """
    task = training_task(name)
    folder = (root or cache_dir()) / "trained" / f"{name}-{seed}-{RECIPE}"
    if not _is_whole(folder):
        _train(task, seed, folder)
    model = _untrained(task)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    facts = read_sealed(folder / "training.json")
    subject = _subject(task, model, f"{name}/trained/{seed}")
    return TrainedModel(task, open_circuit_model(subject), facts["accuracy"], facts["seconds"])


def _subject(task: TrainingTask, model: GPT2LMHeadModel, name: str) -> Subject:
    words = ["<start>", *(f"t{index}" for index in range(1, task.vocabulary))]
    return Subject(model, word_level(words), name=name)


def _is_whole(folder: Path) -> bool:
    """Whether the cache has the model, as it was trained."""
    try:
        recorded = read_sealed(folder / "training.json")["model_sha256"]
        return file_sha256(folder / "model.safetensors") == recorded
    except (OSError, ValueError, KeyError):
        return False


def training(task: TrainingTask, seed: int) -> Iterator[GPT2LMHeadModel]:
    """The model before training, and after each of the task's steps: the same object each time."""
    # 1. the model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _untrained(task)
    yield model

    # 2. training
    rng = np.random.default_rng([seed, 0])
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _rate_factor(step, task.steps)
    )
    for _ in range(task.steps):
        model.train()  # who was given it may have set it to eval
        ids, targets = map(torch.as_tensor, task.draw(rng, BATCH))
        loss = cross_entropy(model(ids).logits.flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        yield model


def checkpoints(name: str, every: int, until: int, seed: int = 0) -> list[Subject]:
    """A task's model before training, and after every so many steps until one of them."""
    task = training_task(name)
    models = islice(training(task, seed), 0, until + 1, every)
    return [
        _subject(task, deepcopy(model), f"step-{step * every}") for step, model in enumerate(models)
    ]


def _train(task: TrainingTask, seed: int, folder: Path) -> None:
    started = time.process_time()
    *_, model = training(task, seed)

    # 3. accuracy on sequences of another seed
    accuracy, seconds = _accuracy(model.eval(), task, seed), time.process_time() - started
    if accuracy < MIN_ACCURACY:
        raise UnavailableError(
            f"the model of {task.name!r}, seed {seed}, is right in {accuracy:.1%} after "
            f"{task.steps} steps, which is below {MIN_ACCURACY:.0%}; choose another seed"
        )
    facts = {"accuracy": accuracy, "seconds": round(seconds, 2), "steps": task.steps}
    with atomic_folder(folder) as part:
        weights = {key: value.contiguous() for key, value in model.state_dict().items()}
        save_file(weights, part / "model.safetensors")
        recorded = {"model_sha256": file_sha256(part / "model.safetensors")}
        write_sealed(part / "training.json", facts | recorded)


def _rate_factor(step: int, steps: int) -> float:
    """Linear warm-up times cosine decay."""
    return min(1.0, (step + 1) / WARM_UP) * 0.5 * (1 + np.cos(np.pi * step / steps))


@torch.no_grad()
def _accuracy(model: GPT2LMHeadModel, task: TrainingTask, seed: int) -> float:
    sequences = task.draw(np.random.default_rng([seed, 1]), TEST_SEQUENCES)
    ids, targets = map(torch.as_tensor, sequences)
    return float((model(ids).logits[:, -1].argmax(-1) == targets[:, -1]).float().mean())


def _untrained(task: TrainingTask) -> GPT2LMHeadModel:
    length = task.draw(np.random.default_rng(0), 1).ids.shape[1]
    config = GPT2Config(
        vocab_size=task.vocabulary, n_positions=length, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, n_inner=NEURONS,
        activation_function="relu", tie_word_embeddings=False, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return GPT2LMHeadModel(config)


def pairs_of_task(task: TrainingTask, n: int, seed: int = 0) -> PromptPairs:
    """Up to n prompts, each with a twin that has another answer, which is the foil."""
    rng = np.random.default_rng([seed, 2])
    clean, candidates = task.draw(rng, n), task.draw(rng, TWIN_CANDIDATES * n)
    answers = candidates.targets[:, -1].reshape(n, TWIN_CANDIDATES)
    same = clean.targets[:, -1:] == answers
    # the first candidate with another answer, for each prompt that has one
    twins = TWIN_CANDIDATES * np.arange(n) + same.argmin(1)
    usable = np.flatnonzero(~same.all(1))
    return PromptPairs(
        torch.as_tensor(clean.ids[usable]),
        torch.as_tensor(candidates.ids[twins[usable]]),
        torch.as_tensor(clean.targets[usable, -1:]),
        torch.as_tensor(candidates.targets[twins[usable], -1:]),
    )
