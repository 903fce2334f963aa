"""The loss of an erased stream against the model by hand."""

from __future__ import annotations

import numpy as np
import torch

from hubel.tools.representation.collect import collect
from hubel.tools.representation.erased_loss import losses
from hubel.tools.representation.erasure import fit_eraser
from hubel.tools.subject.address import Site
from tests.support.tiny import tiny_subject

TEXTS = ["the cat was", "a dog is in the city", "Monday told the bank", "not very red", "a river"]


def test_the_erased_loss_is_that_of_the_layers_above_the_erased_stream() -> None:
    tiny = tiny_subject()
    ids = [tiny.tokenize(text).ids for text in TEXTS]
    (vectors,) = collect(tiny, TEXTS, [Site("stream", 1)])
    eraser = fit_eraser(vectors, np.array([0, 1, 0, 1, 1]))
    bare, erased = losses(tiny, ids, 1), losses(tiny, ids, 1, eraser)
    for number, row in enumerate(ids):
        tokens = torch.tensor([row])
        with torch.no_grad():
            expected = tiny.model(tokens, labels=tokens).loss.item()
        assert abs(bare[number] - expected) < 1e-4

    def erase(_module: object, _args: object, output: torch.Tensor) -> torch.Tensor:
        return torch.tensor(eraser(output[0].double().numpy()), dtype=torch.float32)[None]

    handle = tiny.model.model.layers[1].register_forward_hook(erase)
    tokens = torch.tensor([ids[1]])
    with torch.no_grad():
        expected = tiny.model(tokens, labels=tokens).loss.item()
    handle.remove()
    assert abs(erased[1] - expected) < 1e-4
    assert abs(erased[1] - bare[1]) > 1e-3
    np.testing.assert_array_equal(losses(tiny, ids, 1), bare)
