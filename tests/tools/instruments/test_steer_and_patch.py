"""Steering, patching and generation against hooks and loops that these tests write themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch

from hubel.tools.errors import ArgumentError
from hubel.tools.instruments import InstrumentContext, call
from hubel.tools.instruments.ablate import Ablation
from hubel.tools.instruments.generate import Generated
from hubel.tools.instruments.patch import Patching
from hubel.tools.instruments.rendering import quote_text
from hubel.tools.instruments.steer import Steering
from hubel.tools.subject import Subject, Unit
from tests.support.tiny import tiny_subject

TEXT, SOURCE = "Monday the cat said very", "Tuesday the dog said very"


@pytest.fixture(scope="module")
def context() -> InstrumentContext:
    return InstrumentContext(tiny_subject())


@contextmanager
def entering(module: Any, change: Callable[[torch.Tensor], None]) -> Iterator[None]:
    def hook(_module: Any, args: Any) -> Any:
        new = args[0].clone()
        change(new)
        return (new, *args[1:])

    handle = module.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def logits(subject: Subject, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return subject.model(torch.tensor([ids])).logits[0, -1].double()


def kl(before: torch.Tensor, after: torch.Tensor) -> float:
    p, q = before.softmax(-1).numpy(), after.softmax(-1).numpy()
    return float(sum(a * np.log(a / b) for a, b in zip(p, q, strict=True)))


def down(subject: Subject) -> Any:
    return subject.model.model.layers[1].mlp.down_proj


def steered(context: InstrumentContext, **arguments: Any) -> Steering:
    result = call(
        "steer", {"unit": "mlp.1.5", "text": TEXT, "strengths": [3.0], **arguments}, context
    )
    assert isinstance(result, Steering)
    return result


OPERATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "add": lambda old: old + 3.0,
    "set": lambda old: torch.full_like(old, 3.0),
    "scale": lambda old: old * 3.0,
}


@pytest.mark.parametrize("op", OPERATIONS)
def test_steering_is_a_change_of_what_enters_the_down_projection(
    context: InstrumentContext, op: str
) -> None:
    subject = context.require_subject()
    ids = subject.tokenize(TEXT).ids

    def change(value: torch.Tensor) -> None:
        value[:, 1:, 5] = OPERATIONS[op](value[:, 1:, 5])

    before = logits(subject, ids)
    written: list[int] = []
    with entering(down(subject), change):
        after = logits(subject, ids)
        for _ in range(4):
            written.append(int(logits(subject, ids + written).argmax()))
    result = steered(context, op=op, new_tokens=4, k=3, tokens=[" cat", " dog"])
    (strength,) = result.strengths
    cat, dog = (subject.tokenize(token).ids[0] for token in (" cat", " dog"))
    ratios = (after.log_softmax(-1) - before.log_softmax(-1))[[cat, dog]].tolist()
    assert strength.log_ratios == pytest.approx(ratios, rel=1e-3)
    assert result.tokens == [" cat", " dog"]
    assert f'log-probability of " cat" {strength.log_ratios[0]:+.3f}' in result.render()
    assert strength.kl == pytest.approx(kl(before, after), rel=1e-4)
    assert strength.kl > 1e-4
    most = (before.softmax(-1) - after.softmax(-1)).abs().topk(3).indices.tolist()
    assert [c.token for c in strength.changed] == [subject.token_strings()[i] for i in most]
    assert strength.continuation == "".join(subject.token_strings()[i] for i in written)


def test_steering_at_a_part_of_the_text_leaves_the_rest(context: InstrumentContext) -> None:
    subject = context.require_subject()
    ids = subject.tokenize(TEXT).ids

    def change(value: torch.Tensor) -> None:
        value[:, 2, 5] += 3.0

    with entering(down(subject), change):
        after = logits(subject, ids)
    result = steered(context, focus="cat", new_tokens=0)
    assert result.positions == [2]
    assert result.strengths[0].kl == pytest.approx(kl(logits(subject, ids), after), rel=1e-4)
    assert result.strengths[0].continuation == ""


def test_several_strengths_are_compared_and_rendered(context: InstrumentContext) -> None:
    result = steered(context, strengths=[-2.0, 0.0, 2.0], new_tokens=2)
    assert [s.strength for s in result.strengths] == [-2.0, 0.0, 2.0]
    assert result.strengths[1].kl == pytest.approx(0, abs=1e-9)
    assert result.strengths[1].continuation == result.continuation
    alone = [steered(context, strengths=[s], new_tokens=2).strengths[0].kl for s in (-2.0, 2.0)]
    assert [result.strengths[0].kl, result.strengths[2].kl] == pytest.approx(alone, rel=1e-3)
    assert len(result.render().splitlines()) == 1 + 3 + 4


def test_sampling_repeats_with_its_seed_and_shares_its_noise(context: InstrumentContext) -> None:
    first, again, other = (
        steered(context, temperature=1.5, seed=seed, new_tokens=8, strengths=[0.0])
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first.continuation != other.continuation
    assert first.strengths[0].continuation == first.continuation, (
        "unchanged distributions and the same noise"
    )


def test_sampled_tokens_follow_the_softmax(context: InstrumentContext) -> None:
    subject = context.require_subject()
    p = logits(subject, subject.tokenize(TEXT).ids).softmax(-1)
    likeliest = subject.token_strings()[int(p.argmax())]
    drawn = [
        call(
            "generate",
            {"text": TEXT, "units": ["mlp.0.0"], "new_tokens": 1, "temperature": 1.0, "seed": s},
            context,
        )
        for s in range(150)
    ]
    share = np.mean([d.continuation == likeliest for d in drawn if isinstance(d, Generated)])
    assert abs(share - float(p.max())) < 4 * np.sqrt(float(p.max()) / 150)


@pytest.mark.parametrize("unit", ["mlp.1.5", "head.1.2"])
def test_a_patch_puts_in_the_aligned_values_of_the_source(
    context: InstrumentContext, unit: str
) -> None:
    subject = context.require_subject()
    layer, width = subject.model.model.layers[1], subject.head_dim
    module, columns = (
        (layer.mlp.down_proj, slice(5, 6))
        if unit.startswith("mlp")
        else (layer.self_attn.o_proj, slice(2 * width, 3 * width))
    )
    base, source = (subject.tokenize(text).ids for text in (f"{TEXT} red", f"very {SOURCE} red"))
    seen: list[torch.Tensor] = []
    with entering(module, lambda value: seen.append(value[0, :, columns].clone())):
        there = logits(subject, source)
    plain = logits(subject, base)

    def change(value: torch.Tensor) -> None:
        for i in range(1, len(base)):
            value[:, i, columns] = seen[0][i + 1]

    with entering(module, change):
        after = logits(subject, base)
    pair = [" cat", " dog"]
    result = call(
        "patch",
        {"units": [unit], "base": f"{TEXT} red", "source": f"very {SOURCE} red", "tokens": pair},
        context,
    )
    assert isinstance(result, Patching)
    assert result.kl == pytest.approx(kl(plain, after), rel=1e-3)
    a, b = (subject.tokenize(token).ids[0] for token in pair)
    difference = result.logit_difference
    assert difference is not None
    expected = [float(x[a] - x[b]) for x in (plain, there, after)]
    assert [difference.base, difference.source, difference.patched] == pytest.approx(
        expected, rel=1e-3, abs=1e-5
    )
    assert difference.recovered == pytest.approx(
        (expected[2] - expected[0]) / (expected[1] - expected[0]), rel=1e-2
    )
    assert "of the way" in result.render()


def test_generation_is_greedy_and_shows_what_units_do(context: InstrumentContext) -> None:
    subject = context.require_subject()
    result = call(
        "generate", {"text": TEXT, "units": ["mlp.1.5", "head.0.1"], "new_tokens": 5}, context
    )
    assert isinstance(result, Generated)
    ids = list(subject.tokenize(TEXT).ids)
    for _ in range(5):
        ids.append(int(logits(subject, ids).argmax()))
    strings = subject.token_strings()
    assert result.tokens == [strings[i] for i in ids]
    assert result.continuation == "".join(result.tokens[result.n_given :])
    expected = subject.unit_activations(torch.tensor([ids]), [Unit.parse("mlp.1.5")])[0, 0].tolist()
    assert result.activations["mlp.1.5"] == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert " ▸ " in result.render()


def test_ablation_can_go_on_with_the_text(context: InstrumentContext) -> None:
    subject = context.require_subject()
    result = call(
        "ablate", {"unit": "mlp.1.5", "texts": [TEXT], "op": "zero", "new_tokens": 3}, context
    )
    assert isinstance(result, Ablation)
    ids = subject.tokenize(TEXT).ids
    written: list[int] = []

    def change(value: torch.Tensor) -> None:
        value[:, 1:, 5] = 0

    with entering(down(subject), change):
        for _ in range(3):
            written.append(int(logits(subject, ids + written).argmax()))
    continued = result.texts[0].continued
    assert continued is not None
    assert continued[1] == "".join(subject.token_strings()[i] for i in written)
    assert f"goes on |{quote_text(continued[0])}" in result.render()


def test_resampling_draws_from_the_texts_where_there_is_no_index(
    context: InstrumentContext,
) -> None:
    first, again, other = (
        call(
            "ablate",
            {"unit": "mlp.1.5", "texts": [TEXT, SOURCE], "op": "resample", "seed": seed},
            context,
        )
        for seed in (1, 1, 2)
    )
    assert isinstance(first, Ablation)
    assert first == again
    assert isinstance(other, Ablation)
    assert first.mean_kl != other.mean_kl
    assert first.replaced_by == "its values at random places of these texts"


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("steer", {"unit": "head.1.2", "text": TEXT, "strengths": [1]}, "use op scale"),
        (
            "steer",
            {"unit": "mlp.1.5", "text": TEXT, "strengths": [1], "focus": "bird"},
            "copy it exactly",
        ),
        (
            "steer",
            {"unit": "mlp.1.5", "text": TEXT, "strengths": [1], "focus": "Monday"},
            "first token",
        ),
        (
            "steer",
            {"unit": "mlp.1.5", "text": "cat " * 120, "strengths": [1], "new_tokens": 64},
            "reads at most 128",
        ),
        ("steer", {"unit": "mlp.1.5", "text": TEXT, "strengths": []}, "strengths: "),
        (
            "patch",
            {"units": ["mlp.1.5"], "base": TEXT, "source": SOURCE, "tokens": ["cat", "zebra"]},
            "5 tokens here",
        ),
        (
            "patch",
            {
                "units": ["mlp.1.5"],
                "base": "Monday the cat said 1999",
                "source": "the cat said 1999",
                "focus": "the",
            },
            "no token of the base",
        ),
        ("patch", {"units": ["mlp.7.5"], "base": TEXT, "source": SOURCE}, "layers 0 to 2"),
        ("generate", {"text": TEXT, "units": ["mlp.1.77"]}, "units 0 to 23"),
    ],
)
def test_invalid_steering_and_patching_is_refused_with_a_hint(
    context: InstrumentContext, name: str, arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(ArgumentError, match=says):
        call(name, arguments, context)
