"""A dictionary that reads planted units, on the tiny subject: its truth, and its controls."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch

from hubel.bench.planted_dictionary import (
    compare_with_truth,
    permuted_decoder,
    planted_dictionary,
    random_dictionary,
    writing_units,
)
from hubel.tools.corpus import Document
from hubel.tools.dictionaries.dictionary import Dictionary
from hubel.tools.errors import UsageError
from hubel.tools.subject import Site, Unit
from hubel.tools.subject.address import NO_LAYER
from hubel.tools.subject.attach_latents import attach_latents
from hubel.tools.subject.planted_units.planted_subject import PlantedSubject, plant
from hubel.tools.subject.planted_units.suite import parse_suite
from tests.support.tiny import WORDS, tiny_subject

SUITE = """
[[unit]]
id = "days"
layer = 1
meaning = "days of the week"
[[unit.part]]
match = "Monday|Tuesday|Friday"
strength = 40.0
writes = " river"
[[unit]]
id = "animals"
layer = 1
meaning = "animals"
[[unit.part]]
match = "cat|dog"
strength = 40.0
writes = " bank"
[[unit]]
id = "silent"
layer = 1
meaning = "a unit that writes nothing"
[[unit.part]]
match = "red"
"""


class _Planted(NamedTuple):
    subject: PlantedSubject
    dictionary: Dictionary
    vectors: torch.Tensor
    truth: torch.Tensor


@pytest.fixture(scope="module")
def planted() -> _Planted:
    draw = np.random.default_rng(0)
    words = np.array(WORDS.split())
    documents = [Document(f"d{i}", " ".join(draw.choice(words, 40))) for i in range(30)]
    subject = plant(tiny_subject(), parse_suite(SUITE), documents, context_len=16)
    contexts, units = subject.texts.contexts, writing_units(subject, 1)
    ids, mask = torch.from_numpy(contexts.tokens.astype(np.int64)), contexts.mask
    site = Site("stream", 1)
    natural = subject.base.capture(ids, [site]).activations[site][mask]
    vectors = subject.capture(ids, [site]).activations[site][mask]
    truth = np.stack([subject.truth(unit, contexts.tokens)[mask] for unit in units], axis=1)
    dictionary = planted_dictionary(subject, units, natural)
    return _Planted(subject, dictionary, vectors, torch.from_numpy(truth))


def test_each_latent_reads_its_own_unit_and_no_other(planted: _Planted) -> None:
    gains = planted.dictionary.decoder @ planted.dictionary.encoder
    assert torch.allclose(gains, torch.eye(2), atol=1e-4)


def test_latents_fire_where_their_units_are_active(planted: _Planted) -> None:
    activations = planted.dictionary.encode(planted.vectors)
    for row in compare_with_truth(["a", "b"], activations, planted.truth):
        assert row.r > 0.9
        assert row.precision is not None
        assert row.recall is not None
        assert min(row.precision, row.recall) > 0.95


def test_no_other_encoder_with_these_gains_picks_up_less(planted: _Planted) -> None:
    """The naive encoder, the pseudo-inverse of the directions, has more noise where units rest."""
    d, rests = planted.dictionary, (planted.truth == 0).all(dim=1)
    naive = torch.linalg.pinv(d.decoder)
    assert torch.allclose(d.decoder @ naive, torch.eye(2), atol=1e-4)
    still = planted.vectors[rests] - planted.vectors[rests].mean(dim=0)
    assert ((still @ d.encoder).var(dim=0) < (still @ naive).var(dim=0)).all()


def test_random_latents_fire_as_often_and_follow_no_unit(planted: _Planted) -> None:
    control = random_dictionary(planted.dictionary, planted.vectors)
    ours, theirs = (d.encode(planted.vectors) > 0 for d in (control, planted.dictionary))
    assert torch.allclose(ours.float().mean(dim=0), theirs.float().mean(dim=0), atol=0.02)
    compared = compare_with_truth(["a", "b"], control.encode(planted.vectors), planted.truth)
    assert all(row.r < 0.8 for row in compared)


def test_a_permuted_decoder_keeps_no_row(planted: _Planted) -> None:
    control = permuted_decoder(planted.dictionary)
    assert torch.equal(control.encoder, planted.dictionary.encoder)
    assert torch.equal(control.decoder, planted.dictionary.decoder.flip(0))


def test_a_layer_without_writing_units_is_refused(planted: _Planted) -> None:
    with pytest.raises(UsageError, match="no planted unit of layer 0 writes"):
        writing_units(planted.subject, 0)


def test_a_latent_of_a_planted_subject_writes_its_decoder_row(planted: _Planted) -> None:
    attach_latents(planted.subject, planted.dictionary)
    written = planted.subject.write_direction(Unit("sae", NO_LAYER, 1, planted.dictionary.name))
    torch.testing.assert_close(written, planted.dictionary.decoder[1])
