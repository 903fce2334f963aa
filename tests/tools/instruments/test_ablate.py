"""Ablation against a naive one: edited weights, or a value put in by hand, and two softmaxes in a loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hubel.tools.errors import ArgumentError
from hubel.tools.instruments import InstrumentContext, call
from hubel.tools.instruments.ablate import Ablation
from hubel.tools.subject import Subject
from tests.support.tiny import tiny_subject

TEXTS = ["Monday the cat said 1999", "a very blue city in the river", "x cat", "the dog"]


@pytest.fixture(scope="module")
def context() -> InstrumentContext:
    return InstrumentContext(tiny_subject())


def ablated(context: InstrumentContext, **arguments: Any) -> Ablation:
    result = call("ablate", {"texts": TEXTS, **arguments}, context)
    assert isinstance(result, Ablation)
    return result


def logits_with(
    subject: Subject, ids: list[int], module: Any, columns: slice, value: Any, keep_first: bool
) -> torch.Tensor:
    """Logits with some columns of a module's input replaced, by a hook that this test writes itself."""

    def replace(_module: Any, args: Any) -> Any:
        changed = args[0].clone()
        changed[:, (1 if keep_first else 0) :, columns] = torch.as_tensor(
            value, dtype=changed.dtype
        )
        return (changed, *args[1:])

    handle = module.register_forward_pre_hook(replace)
    try:
        with torch.no_grad():
            return subject.model(torch.tensor([ids])).logits[0]
    finally:
        handle.remove()


def naive(
    subject: Subject, text: str, module: Any, columns: slice, value: Any
) -> tuple[list[float], list[float]]:
    """KL and loss change by the definition, position by position."""
    ids = subject.tokenize(text).ids
    with torch.no_grad():
        clean = subject.model(torch.tensor([ids])).logits[0].double()
    changed = logits_with(subject, ids, module, columns, value, keep_first=len(ids) > 1).double()
    p, q = clean.softmax(-1).numpy(), changed.softmax(-1).numpy()
    kl = [
        float(sum(a * np.log(a / b) for a, b in zip(p[i], q[i], strict=True)))
        for i in range(len(ids))
    ]
    loss = [float(np.log(p[i][ids[i + 1]]) - np.log(q[i][ids[i + 1]])) for i in range(len(ids) - 1)]
    return kl, loss


def check(result: Ablation, subject: Subject, module: Any, columns: slice, value: Any) -> None:
    for text, answer in zip(TEXTS, result.texts, strict=True):
        kl, loss = naive(subject, text, module, columns, value)
        np.testing.assert_allclose(answer.kl, kl, rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(
            np.array(answer.loss_change[:-1], float), loss, rtol=1e-3, atol=1e-5
        )
        assert answer.loss_change[-1] is None


def test_zero_ablation_of_a_neuron(context: InstrumentContext) -> None:
    subject = context.require_subject()
    down = subject.model.model.layers[1].mlp.down_proj
    result = ablated(context, unit="mlp.1.5", op="zero")
    check(result, subject, down, slice(5, 6), 0.0)
    assert max(result.texts[0].kl) > 1e-4  # the comparison is not of zeros


def test_zero_ablation_of_a_head(context: InstrumentContext) -> None:
    subject = context.require_subject()
    width = subject.head_dim
    result = ablated(context, unit="head.1.2", op="zero")
    check(
        result,
        subject,
        subject.model.model.layers[1].self_attn.o_proj,
        slice(2 * width, 3 * width),
        0.0,
    )
    assert max(result.texts[0].kl) > 1e-4


def inputs(subject: Subject, module: Any, columns: slice) -> torch.Tensor:
    """What enters a module at all positions of all texts that count."""
    seen: list[torch.Tensor] = []
    handle = module.register_forward_pre_hook(
        lambda _module, args: seen.append(args[0][0, :, columns])
    )
    for text in TEXTS:
        with torch.no_grad():
            subject.model(torch.tensor([subject.tokenize(text).ids]))
    handle.remove()
    return torch.cat([values[1:] if len(values) > 1 else values for values in seen])


@pytest.mark.parametrize("unit", ["mlp.1.5", "head.1.2"])
def test_mean_ablation_without_an_index_uses_these_texts(
    context: InstrumentContext, unit: str
) -> None:
    subject = context.require_subject()
    layer, width = subject.model.model.layers[1], subject.head_dim
    module, columns = (
        (layer.mlp.down_proj, slice(5, 6))
        if unit.startswith("mlp")
        else (layer.self_attn.o_proj, slice(2 * width, 3 * width))
    )
    result = ablated(context, unit=unit, op="mean")
    check(result, subject, module, columns, inputs(subject, module, columns).mean(dim=0))
    assert result.replaced_by == "its mean on these texts"


def test_the_changed_tokens_are_the_most_changed_at_the_peak(context: InstrumentContext) -> None:
    subject = context.require_subject()
    answer = ablated(context, unit="mlp.1.5", op="zero", k=4).texts[1]
    ids = subject.tokenize(TEXTS[1]).ids
    with torch.no_grad():
        before = subject.model(torch.tensor([ids])).logits[0, answer.peak].softmax(-1)
    down = subject.model.model.layers[1].mlp.down_proj
    after = logits_with(subject, ids, down, slice(5, 6), 0.0, keep_first=True)[answer.peak].softmax(
        -1
    )
    most = (before - after).abs().topk(4).indices
    strings = subject.token_strings()
    assert [change.token for change in answer.changed] == [strings[i] for i in most]
    assert [change.before for change in answer.changed] == pytest.approx(
        before[most].tolist(), rel=1e-3
    )
    assert [change.after for change in answer.changed] == pytest.approx(
        after[most].tolist(), rel=1e-3
    )
    assert answer.peak == 1 + int(np.argmax(answer.kl[1:]))


def test_an_answer_does_not_depend_on_the_texts_beside_it(context: InstrumentContext) -> None:
    together = ablated(context, unit="mlp.1.5", op="zero").texts
    for text, answer in zip(TEXTS, together, strict=True):
        alone = ablated(context, unit="mlp.1.5", op="zero", texts=[text]).texts[0]
        np.testing.assert_allclose(answer.kl, alone.kl, rtol=1e-3, atol=1e-7)


def test_a_side_that_is_not_active_changes_nothing(context: InstrumentContext) -> None:
    subject = context.require_subject()
    active = subject.unit_activations(
        torch.tensor([subject.tokenize(TEXTS[0]).ids]), [_unit("mlp.1.5")]
    )[0, 0]
    answers = {
        side: ablated(context, unit=f"mlp.1.5{side}", op="zero", texts=TEXTS[:1]).texts[0].kl
        for side in "+-"
    }
    for side, sign in (("+", 1), ("-", -1)):
        positions = [i for i in range(1, len(active)) if sign * active[i] > 0]
        first = min(positions, default=len(active))
        assert max(answers[side][:first], default=0) < 1e-9
    assert answers["+"] != answers["-"]


def _unit(text: str) -> Any:
    from hubel.tools.subject import Unit

    return Unit.parse(text)


def test_means_over_positions_and_the_rendering(context: InstrumentContext) -> None:
    result = ablated(context, unit="mlp.1.5", op="zero")
    scored = [k for text in result.texts for k in (text.kl[1:] if len(text.kl) > 1 else text.kl)]
    assert result.mean_kl == pytest.approx(np.mean(scored), rel=1e-4)
    lines = result.render().splitlines()
    assert lines[0].startswith("mlp.1.5 set to 0: KL ")
    assert len(lines) == 1 + 2 * len(TEXTS)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"unit": "mlp.9.5"}, "layers 0 to 2"),
        ({"unit": "mlp.1.500"}, "units 0 to 23"),
        ({"unit": "neuron 7"}, "neuron 7"),
        ({"unit": "head.1.2-"}, "no sides"),
        ({"unit": "mlp.1.5", "texts": []}, "texts: "),
        ({"unit": "mlp.1.5", "texts": ["the cat " * 500]}, "text 0 has"),
        ({"unit": "mlp.1.5", "op": "mangle"}, "op: "),
    ],
)
def test_invalid_ablations_are_argument_errors(
    context: InstrumentContext, arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(ArgumentError, match=says):
        ablated(context, **arguments)
