"""What scorers may do to the subject, against the same thing done by hand, one text at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hubel.agent.rescoring.subject_probe import SubjectProbe, draw_decoys
from hubel.tools.subject import Intervention
from hubel.tools.subject.address import Unit
from hubel.tools.subject.subject import Subject

TEXTS = ["the cat sat on the mat", "a dog", "it was the best of times, it was the worst"]


@pytest.mark.parametrize("address", ["mlp.1.3", "mlp.1.3-", "head.0.1"])
def test_probed_activations_are_those_of_each_text_alone(tiny: Subject, address: str) -> None:
    unit = Unit.parse(address)
    signals = SubjectProbe(tiny, unit).activations_on(TEXTS)
    for text, signal in zip(TEXTS, signals, strict=True):
        ids = torch.tensor([tiny.tokenize(text).ids])
        alone = unit.signal(tiny.unit_activations(ids, [unit.unsided])[0, 0].numpy())
        np.testing.assert_allclose(signal, alone[1:], atol=1e-5)


def test_a_text_without_two_tokens_has_no_activations(tiny: Subject) -> None:
    signals = SubjectProbe(tiny, Unit("mlp", 1, 3)).activations_on(["", TEXTS[0]])
    assert [len(signal) for signal in signals] == [0, len(tiny.tokenize(TEXTS[0]).ids) - 1]


def test_loss_is_the_mean_cross_entropy_after_the_prefix(tiny: Subject) -> None:
    prefixes = ["once upon a time ", "so ", "then "]
    losses = SubjectProbe(tiny, Unit("mlp", 1, 3)).loss(prefixes, TEXTS)
    for prefix, text, loss in zip(prefixes, TEXTS, losses, strict=True):
        before, own = tiny.tokenize(prefix).ids, tiny.tokenize(text).ids
        logits = tiny.capture(torch.tensor([[*before, *own]]), [], logits=True).logits
        assert logits is not None
        predicting = logits[0, len(before) - 1 : -1].float()
        expected = torch.nn.functional.cross_entropy(predicting, torch.tensor(own))
        assert loss == pytest.approx(float(expected), abs=1e-4)


def test_an_effect_is_steered_minus_ablated_at_the_same_places(tiny: Subject) -> None:
    unit = Unit.parse("mlp.1.3-")
    decoys = draw_decoys(unit, tiny.shape.count(unit.place), seed=0)
    tokens = np.array([tiny.tokenize(TEXTS[0]).ids[:6], tiny.tokenize(TEXTS[2]).ids[:6]])
    contexts, positions = np.array([0, 1]), np.array([4, 3])
    (effects,) = SubjectProbe(tiny, unit, decoys).effects(tokens, 5.0)([contexts], [positions])

    assert len(effects) == 1 + len(decoys)
    for measured, effect in zip((unit.unsided, *decoys), effects, strict=True):
        changes = []
        for context, position in zip(contexts, positions, strict=True):
            # all texts have the length of the shortest: 4 tokens that end at the position
            ids = torch.tensor(tokens[[context], position - 3 : position + 1])
            # the negative side is steered to minus the strength
            steered = _log_probs(tiny, ids, Intervention(measured, "set", (3,), -5.0))
            changes.append(steered - _log_probs(tiny, ids, Intervention(measured, "zero", (3,))))
        order = torch.stack(changes).mean(dim=0).argsort(descending=True, stable=True).tolist()
        assert effect.promoted[:3] == tuple(order[:3])
        assert effect.suppressed[-3:] == tuple(order[-3:])


def _log_probs(subject: Subject, ids: torch.Tensor, change: Intervention) -> torch.Tensor:
    logits = subject.capture(ids, [], interventions=[[change]], logits=True).logits
    assert logits is not None
    return logits[0, -1].float().log_softmax(-1)


def test_an_effect_is_measured_once(tiny: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = np.array([tiny.tokenize(TEXTS[0]).ids[:6]])
    measure = SubjectProbe(tiny, Unit("mlp", 1, 3)).effects(tokens, 5.0)
    first = measure([np.array([0])], [np.array([4])])
    monkeypatch.setattr(Subject, "capture", None)  # a second pass would fail
    assert measure([np.array([0])], [np.array([4])]) == first


def test_decoys_are_other_units_of_the_layer() -> None:
    unit = Unit("mlp", 2, 7)
    for seed in range(20):
        decoys = draw_decoys(unit, 10, seed)
        assert len({unit, *decoys}) == 3
        assert {decoy.place for decoy in decoys} == {unit.place}
        assert decoys == draw_decoys(unit, 10, seed)
