"""Latent circuits: latents that a tiny subject's answer is made of are named, decoys are not.

1. In the subject, ` Monday` and ` Friday` differ along one direction and, at random, along all others.
   The last layer writes nothing, and the logit difference reads that one direction.
2. The dictionary has two latents for each of 15 orthonormal directions, one for each sign, and none
   for the 16th, which is left to the error node. So two latents are the circuit; the other 28 move
   and do nothing but change the final norm a little.
3. Null: each run's f is drawn from one distribution, whether of the circuit or of a floor.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ....studies import StudyContext, StudyResult, find_study
from ....studies.representation.latent_circuit import (
    DRAWS,
    RANDOM_RUNS,
    ROTATED_RUNS,
    HeldOutRuns,
    circuit_runs,
    conclude,
)
from ..registry import known_answer, null

if TYPE_CHECKING:
    from ....tools.dictionaries.dictionary import Dictionary
    from ....tools.subject import Subject

WORDS = ["the", "of", "and", "in", "to", "is", "was", "river", "bank", "city"]
PROMPTS = 24
TRUTH = {"sae.planted.0", "sae.planted.15"}


def planted_subject(seed: int) -> tuple[Subject, Dictionary]:
    """The subject and its dictionary."""
    import torch

    from ....tools.dictionaries.activations import Relu
    from ....tools.dictionaries.dictionary import Dictionary
    from ....tools.subject.address import Site
    from ...tiny_subject import miniature

    subject = miniature(seed)
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(16, 16, generator=generator)).Q.T
    model: Any = subject.model
    monday, friday, dog, cat = (
        subject.tokenize(f" {w}").ids[0] for w in ("Monday", "Friday", "dog", "cat")
    )
    with torch.no_grad():
        model.model.norm.weight.fill_(1)
        for layer in model.model.layers:
            scale = 0.0 if layer is model.model.layers[-1] else 0.1
            layer.self_attn.o_proj.weight.mul_(scale)
            layer.mlp.down_proj.weight.mul_(scale)
        for token, sign in ((monday, 1), (friday, -1)):
            embedding = model.get_input_embeddings().weight
            embedding[token] += (3 * sign - embedding[token] @ basis[0]) * basis[0]
        model.lm_head.weight[dog], model.lm_head.weight[cat] = basis[0], -basis[0]
    both = torch.cat([basis[:15], -basis[:15]])
    place = Site("stream", 1)
    dictionary = Dictionary(
        "planted", place, place, both.T.contiguous(), torch.zeros(30), both, torch.zeros(16), Relu()
    )
    return subject, dictionary


def study_of(subject: Subject, dictionary: Dictionary, **options: Any) -> StudyResult:
    """The study on prompts that end in a day."""
    from ....tools.dictionaries.write import write_dictionary

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_dictionary(dictionary, folder / "sae", "saelens")
        return find_study("latent-circuit")(
            StudyContext([subject]),
            {
                "dictionary": [f"{dictionary.name}={folder / 'sae'}"],
                "task": str(write_pairs(folder / "days.csv")),
                "discovery": PROMPTS // 2,
                "heldout": PROMPTS // 2,
                "unchecked_dictionaries": True,
                **options,
            },
        )


def write_pairs(path: Path) -> Path:
    """A file of pairs: two words and a day."""
    rows = [
        [f"{a} {b} Monday", f"{a} {b} Friday", " dog", " cat"] for a, b in combinations(WORDS, 2)
    ][:PROMPTS]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["clean", "corrupted", "answer", "foil"], *rows])
    return path


@known_answer("latent-circuit", "the two latents that the answer is made of, and none of 28 decoys")
def planted_latents(seed: int) -> bool:
    subject, dictionary = planted_subject(seed)
    result = study_of(subject, dictionary)
    nodes: Any = next(figure for figure in result.figures if figure.name == "nodes")
    named = set(nodes.names) - {"error.planted"}
    f = {row["run"]: row["f"] for row in result.rows}
    return (
        # the last claim is no part: 15 of 16 directions, turned, also express nearly everything
        all(claim.verdict == "supported" for claim in result.claims[:3])
        and named == TRUTH
        and f["circuit"] > 0.8
        and abs(f["all but the circuit"]) < 0.2
        and abs(f["errors alone"]) < 0.2
    )


@null("latent-circuit", "a circuit that is worth as much as its floors")
def worth_as_much(seed: int) -> StudyResult:
    rng = np.random.default_rng(seed)
    latents = np.zeros(4, dtype=bool)
    nothing, whole = rng.normal(0, 1, 48), rng.normal(4, 1, 48)

    def drawn(names: Sequence[str]) -> dict[str, np.ndarray]:
        of_draw = rng.normal(2, 0.5)  # draws differ on all prompts alike
        return {name: rng.normal(of_draw, 1, 48) for name in names}

    own = {"nothing": nothing, "whole": whole, "errors alone": nothing}
    own |= drawn(list(circuit_runs(latents, latents)))
    random = [drawn(RANDOM_RUNS) for _ in range(DRAWS)]
    rotated = [drawn(ROTATED_RUNS) for _ in range(DRAWS)]
    plain = {"clean": whole, "twin": nothing}
    return conclude(HeldOutRuns(own, random, rotated), 2, 4, plain)
