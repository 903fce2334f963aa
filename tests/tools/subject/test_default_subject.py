from __future__ import annotations

import pytest
import torch

from hubel.tools.subject import Site, Subject, subject_shape


@pytest.mark.subject
def test_the_default_subject_knows_where_the_eiffel_tower_is(subject: Subject) -> None:
    ids = torch.tensor([subject.tokenize("The Eiffel Tower is located in the city of").ids])
    logits = subject.capture(ids, [], logits=True, last_only=True).logits
    assert logits is not None
    assert subject.token_strings()[int(logits[0, -1].argmax())] == " Paris"
    assert subject.shape == subject_shape("smollm2-135m")
    assert "Instruct" in subject.title
    assert "Q4_1" in subject.title


@pytest.mark.subject
def test_reading_every_neuron_changes_no_logit(subject: Subject) -> None:
    ids = torch.tensor(
        [subject.tokenize("The old man was very disappointed. It was 1999, and ships sailed.").ids]
    )
    sites = [Site(kind, layer) for kind in ("mlp", "head") for layer in range(30)]
    captured = subject.capture(ids, sites, logits=True)
    with torch.inference_mode():
        assert torch.equal(captured.logits, subject.model(ids, use_cache=False).logits)  # pyright: ignore[reportArgumentType]
    assert captured.activations[Site("mlp", 29)].shape == (*ids.shape, 1536)
    assert captured.activations[Site("head", 0)].shape == (*ids.shape, 9)
