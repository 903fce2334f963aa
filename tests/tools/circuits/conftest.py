"""Tiny subjects in double precision, taken apart, and pairs of random prompts for them."""

from __future__ import annotations

import torch

from hubel.tools.circuits.circuit_model import CircuitModel
from hubel.tools.circuits.prompts import PromptPairs
from hubel.tools.circuits.selftest import open_circuit_model
from tests.support.tiny import tiny_subject

WIRED = ("llama", "gpt2", "gpt_neox", "qwen2", "qwen3", "gemma", "mistral", "phi3")


def circuit_model(model_type: str = "llama", seed: int = 0) -> CircuitModel:
    """Doubles, so that a finite difference has digits left."""
    subject = tiny_subject(model_type, seed)
    subject.model.double()
    return open_circuit_model(subject)


def random_pairs(n: int = 3, seq: int = 5, seed: int = 0) -> PromptPairs:
    """Twins that differ in two tokens."""
    generator = torch.Generator().manual_seed(seed)
    clean = torch.randint(1, 250, (n, seq), generator=generator)
    corrupted = clean.clone()
    corrupted[:, 1:3] = torch.randint(1, 250, (n, 2), generator=generator)
    return PromptPairs(
        clean,
        corrupted,
        torch.randint(1, 100, (n, 2), generator=generator),
        torch.full((n, 1), 200),
    )
