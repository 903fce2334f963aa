"""Mediation on a linear model that can be worked out by hand, and on others against interventions."""

from __future__ import annotations

import torch

from hubel.tools.circuits.mediation import mediate
from hubel.tools.circuits.prompts import PromptPairs
from hubel.tools.circuits.selftest import open_circuit_model
from hubel.tools.subject.address import Unit
from hubel.tools.subject.interventions import Intervention
from tests.support.handmade import blank, set_head, subject_of

from .conftest import circuit_model, random_pairs


def test_a_linear_model_by_hand() -> None:
    """No norms, uniform attention, no MLP. At the last of two positions, with e the two embeddings'
    mean:

    head.0.0 writes A e, head.0.1 writes B e, head.1.0 writes C (mean of the stream after layer 0).
    """
    d, generator = 8, torch.Generator().manual_seed(0)
    model = blank(2, 2, d, 10, 4)
    (wide_a, wide_b, wide_c), embedding, readout = (
        torch.randn(*shape, generator=generator).double() for shape in ((3, d, 4), (10, d), (10, d))
    )
    o = torch.randn(3, 4, d, generator=generator).double()
    zero = torch.zeros(d, 4).double()
    for (layer, head), v, w in zip(
        ((0, 0), (0, 1), (1, 0)), (wide_a, wide_b, wide_c), o, strict=True
    ):
        set_head(model, layer, head, zero, zero, v, w)
    with torch.no_grad():
        model.transformer.wte.weight.copy_(embedding)
        model.lm_head.weight.copy_(readout)
    pairs = PromptPairs(
        torch.tensor([[3, 5]]), torch.tensor([[4, 5]]), torch.tensor([[1]]), torch.tensor([[2]])
    )
    units = [Unit("head", 0, 0), Unit("head", 0, 1), Unit("head", 1, 0)]
    mediation = mediate(open_circuit_model(subject_of(model)), pairs, units)

    a, b, c = (v @ w for v, w in zip((wide_a, wide_b, wide_c), o, strict=True))
    metric = readout[1] - readout[2]
    change = (
        embedding[4] - embedding[3]
    )  # at position 0; the last position attends to both, half and half

    def effect(through_a: bool, through_b: bool, through_c: bool, past_c: bool) -> float:
        """What reaches the last position: by the heads of layer 0 there, and by head.1.0 from both positions."""
        first = [
            a * through_a + b * through_b,
            0.5 * (a * through_a + b * through_b),
        ]  # position 0 sees itself alone
        streams = [change * past_c + change @ first[0], change @ first[1]]
        return float((streams[1] + (streams[0] + streams[1]) @ c * 0.5 * through_c) @ metric)

    total = effect(True, True, True, True)
    torch.testing.assert_close(mediation.total, torch.tensor([total]).double())
    by_hand = [effect(True, False, True, False), effect(False, True, True, False)]
    by_hand.append(total - effect(True, True, False, True))
    torch.testing.assert_close(mediation.indirect[:, 0], torch.tensor(by_hand).double())
    torch.testing.assert_close(mediation.direct, mediation.total - mediation.indirect)
    torch.testing.assert_close(
        mediation.interaction, torch.zeros_like(mediation.direct), atol=1e-10, rtol=0
    )


def test_effects_are_those_of_interventions() -> None:
    model, pairs = circuit_model(), random_pairs()
    unit = Unit("head", 1, 2)
    mediation = mediate(model, pairs, [unit])

    def metric(ids: torch.Tensor, source: torch.Tensor | None = None) -> torch.Tensor:
        patches = (
            source
            if source is None
            else [[Intervention(unit, "patch", source=tuple(r))] for r in source.tolist()]
        )
        logits = model.subject.capture(ids, [], interventions=patches, logits=True).logits
        assert logits is not None
        return pairs.logit_difference(logits[:, -1])

    clean = metric(pairs.clean)
    torch.testing.assert_close(
        mediation.total, metric(pairs.corrupted) - clean, atol=1e-4, rtol=1e-4
    )
    torch.testing.assert_close(
        mediation.indirect[0], metric(pairs.clean, pairs.corrupted) - clean, atol=1e-4, rtol=1e-4
    )
    torch.testing.assert_close(
        mediation.direct[0], metric(pairs.corrupted, pairs.clean) - clean, atol=1e-4, rtol=1e-4
    )
