"""A program as a real transformer: a GPT-2 whose weights are set, not trained, and whose true edges
are known.

1. Named coordinates: one large constant, then each variable's own. LayerNorm divides by the
   constant, which is 1e4 times what else is there, so that it is the identity to 1e-6; its mean is
   zero as the stream has no part along ones.
2. Heads: queries read the tables, keys the values, with a sharp softmax. MLPs: each step is two
   ReLUs, so that it is exactly 0 or 1 outside its ramp, and small noise ends there.
3. Distractors: heads and neurons that read true variables and write where no operation of the
   program reads.
4. Noise edges: a share of all false edges reads a little of what their source writes. Each node
   writes to separate coordinates, so that a noise edge is that edge and no other.
5. A random rotation of all coordinates, orthogonal to ones: no axis of the stream means anything.

The noise is half as loud as the loudest at which the program is still right and no noise edge
changes an answer, since one that does would be a true edge (see `check_truth`). Everything is drawn
from (seed, name of the program, difficulty).
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from transformers import GPT2Config, GPT2LMHeadModel

from ...tools.circuits.circuit_model import CircuitModel
from ...tools.circuits.graph import Graph
from ...tools.circuits.selftest import open_circuit_model
from ...tools.errors import UsageError
from ...tools.subject.subject import Subject
from .check_truth import false_edges_matter
from .compiled import DIFFICULTIES, Compiled
from .layout import place
from .noise import Surroundings, add_distractors, add_noise
from .pairs import pairs_of
from .program import Program
from .programs import program as program_of
from .weights import CONSTANT, Weights, program_weights
from .word_tokenizer import tokenizer_of

LOUDEST, QUIETER, QUIETEST = 1.0, 0.7, 1e-4
"""Loudness of noise: where the search starts, the factor of its steps, and where it gives up."""
CHECKED, PAIRS = 256, 48
"""Prompts on which the program must be right, and pairs on which noise must not change answers."""


def compile_program(name: str, difficulty: str = "easy", seed: int = 0) -> Compiled:
    """Compile one program.

    Raises:
        UsageError: an unknown name or difficulty, or a model that does not compute the program.
    """
    if difficulty not in DIFFICULTIES:
        raise UsageError(f"difficulty {difficulty!r} given; choose {', '.join(DIFFICULTIES)}")
    program = program_of(name)
    recipe = _Recipe(program, difficulty, seed)
    if not DIFFICULTIES[difficulty].noise:
        compiled = recipe.build(0.0)
        if not _right(compiled):
            raise UsageError(
                f"program {name!r} does not compute its own answers; correct its operations"
            )
        return compiled
    plain, loudness = recipe.build(0.0).model, LOUDEST
    while loudness > QUIETEST:
        compiled = recipe.build(loudness, plain)
        if _right(compiled) and not false_edges_matter(compiled, pairs_of(program, PAIRS, seed)):
            return recipe.build(loudness / 2, plain)
        loudness *= QUIETER
    raise UsageError(f"program {name!r} cannot be compiled with noise; compile it as 'easy'")


class _Recipe(NamedTuple):
    """What a compiled program is made from; the draws are the same at each loudness."""

    program: Program
    difficulty: str
    seed: int

    def rng(self) -> np.random.Generator:
        parts = [
            self.seed,
            zlib.crc32(self.program.name.encode()),
            list(DIFFICULTIES).index(self.difficulty),
        ]
        return np.random.default_rng(parts)

    def build(self, loudness: float, plain: CircuitModel | None = None) -> Compiled:
        program, rng, graded = self.program, self.rng(), DIFFICULTIES[self.difficulty]
        placement = place(program, graded.heads, rng)
        graph = Graph(placement.n_layers, placement.n_heads, placement.n_heads)
        around = Surroundings(placement, graph, program_weights(placement))
        add_distractors(around, graded.heads, graded.neurons, rng)
        noisy = add_noise(around, graded.noise, loudness, rng)
        name = f"{program.name}/{self.difficulty}/{self.seed}"
        model = open_circuit_model(
            Subject(_gpt2(around.weights, program, rng), tokenizer_of(program), name=name)
        )
        truth = graph.mask_of(placement.true_edges())
        return Compiled(
            program,
            self.difficulty,
            self.seed,
            model,
            placement,
            plain or model,
            truth,
            noisy,
            loudness,
        )


def _right(compiled: Compiled) -> bool:
    prompts = compiled.program.prompts(CHECKED, np.random.default_rng(compiled.seed))
    return compiled.says(prompts) == [
        compiled.program.answer(prompt) for prompt in prompts.tolist()
    ]


def _gpt2(weights: Weights, program: Program, rng: np.random.Generator) -> GPT2LMHeadModel:
    """The weights under a random rotation."""
    n_layers, n_heads, rows = weights.q.shape[:3]
    width = n_heads * max(rows, -(-(weights.size + 1) // n_heads))
    config = GPT2Config(
        vocab_size=len(weights.embed),
        n_positions=program.length,
        n_embd=width,
        n_layer=n_layers,
        n_head=n_heads,
        n_inner=weights.step_in.shape[1],
        activation_function="relu",
        tie_word_embeddings=False,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = GPT2LMHeadModel(config).double().eval()
    rotation = torch.from_numpy(_rotation(width, weights.size, rng))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        weights.put(model, rotation)
        for name, parameter in model.named_parameters():
            if "ln_" in name and name.endswith("weight"):
                parameter.fill_(CONSTANT / width**0.5)
    return model


def _rotation(width: int, size: int, rng: np.random.Generator) -> Float[np.ndarray, "width size"]:
    """Orthonormal columns, orthogonal to ones."""
    drawn = rng.standard_normal((width, size))
    return np.linalg.qr(drawn - drawn.mean(0))[0]
