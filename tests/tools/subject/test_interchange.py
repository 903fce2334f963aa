"""Interchanges in a named subspace, and digests of interventions."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from hubel.tools.errors import UsageError
from hubel.tools.subject import Intervention, Site, Subject, Unit, architecture_of
from hubel.tools.subject.selftest import self_test
from tests.support.tiny import D_MODEL, MODEL_TYPES, tiny_subject

IDS, SOURCE = (17, 40, 93, 200), (17, 41, 12, 77)
STREAM = Unit("resid", 1)


def family(model_type: str = "llama") -> Subject:
    first, second = torch.randn(2, D_MODEL, generator=torch.Generator().manual_seed(0))
    return tiny_subject(model_type, directions={1: {"one": first, "two": second}})


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_an_interchange_moves_one_subspace_to_the_source_and_nothing_else(model_type: str) -> None:
    subject = family(model_type)
    swap = Intervention(STREAM, "interchange", (2, 3), source=SOURCE, directions=("one", "two"))
    site = Site("stream", 1)
    rows = torch.tensor([IDS, IDS, SOURCE])
    clean, swapped, source = subject.capture(
        rows, [site], interventions=[[], [swap], []]
    ).activations[site]
    basis = torch.stack([subject.directions[1][name] for name in ("one", "two")])
    torch.testing.assert_close(swapped[2:] @ basis.T, source[2:] @ basis.T, atol=1e-4, rtol=1e-4)
    rest = torch.linalg.svd(basis).Vh[2:]
    torch.testing.assert_close(swapped @ rest.T, clean @ rest.T, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(swapped[:2], clean[:2])


def test_what_an_interchange_needs() -> None:
    for fields, message in (
        ({"unit": STREAM, "source": SOURCE}, "takes directions"),
        ({"unit": Unit("mlp", 1, 3), "source": SOURCE, "directions": ("one",)}, "whole stream"),
        ({"unit": STREAM, "directions": ("one",)}, "needs a source"),
        ({"unit": STREAM, "op": "zero", "directions": ("one",)}, "nothing else"),
    ):
        with pytest.raises(UsageError, match=message):
            Intervention(**{"op": "interchange", **fields})
    swap = Intervention(STREAM, "interchange", source=SOURCE, directions=("three",))
    with pytest.raises(UsageError, match="three"):
        family().capture(torch.tensor([IDS]), [], interventions=[[swap]], logits=True)


def test_a_digest_names_the_content() -> None:
    swap = Intervention(STREAM, "interchange", (2,), source=SOURCE, directions=("one",))
    assert swap.digest() == Intervention.from_json(json.loads(json.dumps(swap.to_json()))).digest()
    assert swap.digest() != replace(swap, positions=(3,)).digest()
    assert len({swap, replace(swap)}) == 1


def test_a_model_that_patching_with_itself_changes_is_refused_at_load() -> None:
    """A model that gives something else at every pass cannot be patched with itself."""
    subject = tiny_subject()
    passes = iter(range(100))

    def drift(_module: object, _args: object, output: torch.Tensor) -> torch.Tensor:
        return output + next(passes)

    handle = subject.parts.layers[1].mlp.register_forward_hook(drift)
    with pytest.raises(UsageError, match="does not fit"):
        self_test(subject)
    handle.remove()
    self_test(subject)


@pytest.mark.parametrize("model_type", ["albert", "opt", "t5"])
def test_a_family_that_is_not_described_is_refused(model_type: str) -> None:
    with pytest.raises(UsageError, match=f"{model_type!r} are not known"):
        architecture_of(model_type)
