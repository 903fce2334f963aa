"""The probe against a plain loop of scikit-learn fits, and on labels whose answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler

from hubel.tools.errors import ArgumentError
from hubel.tools.instruments import InstrumentContext, call
from hubel.tools.instruments.probe import Probe
from tests.support.tiny import tiny_subject

NOUNS = ["cat", "dog", "city", "river", "bank", "year", "Monday", "Tuesday", "Friday", "red"]
TEXTS = [
    f"{article} {noun} {verb}"
    for noun in NOUNS
    for article in ("the", "a")
    for verb in ("was", "is")
]


@pytest.fixture(scope="module")
def context() -> InstrumentContext:
    return InstrumentContext(tiny_subject())


@pytest.fixture(scope="module")
def plain() -> InstrumentContext:
    """A subject whose stream is nearly the embedding, so that what can be read off it is known."""
    subject = tiny_subject()
    with torch.no_grad():
        for layer in subject.model.model.layers:
            layer.self_attn.o_proj.weight.mul_(0.01)
            layer.mlp.down_proj.weight.mul_(0.01)
    return InstrumentContext(subject)


def probed(context: InstrumentContext, **arguments: Any) -> Probe:
    result = call("probe", {"site": "resid.1", "texts": TEXTS, **arguments}, context)
    assert isinstance(result, Probe)
    return result


def features(context: InstrumentContext, layer: int, pooling: str) -> np.ndarray:
    rows = []
    for text in TEXTS:
        with torch.no_grad():
            ids = torch.tensor([context.require_subject().tokenize(text).ids])
            stream = (
                context.require_subject()
                .model(ids, output_hidden_states=True)
                .hidden_states[layer + 1][0]
                .double()
            )
        rows.append((stream[-1] if pooling == "last" else stream[1:].mean(dim=0)).numpy())
    return np.stack(rows)


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_accuracy_is_that_of_a_plain_loop_over_held_out_groups(
    context: InstrumentContext, pooling: str
) -> None:
    labels = [str(len(text.split()[1]) % 2) for text in TEXTS]
    groups = [text.split()[1] for text in TEXTS]
    result = probed(context, labels=labels, groups=groups, pooling=pooling, seed=3)
    x, y = features(context, 1, pooling), np.array(labels)
    correct = np.zeros(len(y), dtype=bool)
    for train, test in StratifiedGroupKFold(5, shuffle=True, random_state=3).split(x, y, groups):
        assert not {groups[i] for i in train} & {groups[i] for i in test}
        scaler = StandardScaler().fit(x[train])
        model = LogisticRegression(max_iter=2000).fit(scaler.transform(x[train]), y[train])
        correct[test] = model.predict(scaler.transform(x[test])) == y[test]
    assert result.accuracy == pytest.approx(
        correct.mean(), abs=1.01 / len(y)
    )  # a tie may fall either way
    assert result.low <= result.accuracy <= result.high
    assert result.n_groups == len(NOUNS)
    assert result.majority == pytest.approx(max(labels.count("0"), labels.count("1")) / len(labels))


def test_a_label_that_is_the_last_token_is_read_and_its_control_is_not(
    plain: InstrumentContext,
) -> None:
    labels = [text.split()[2] for text in TEXTS]
    result = probed(plain, labels=labels)
    assert result.accuracy > 0.95
    assert result.control < 0.75
    assert result.selectivity == pytest.approx(result.accuracy - result.control, abs=1e-5)


def test_a_label_that_only_memory_of_the_group_could_give_is_not_read(
    plain: InstrumentContext,
) -> None:
    """Random labels for nouns: a random split reaches 1.0 by remembering the nouns, the split by group cannot."""
    drawn = dict(
        zip(
            NOUNS, np.random.default_rng(0).permutation(["x"] * 5 + ["y"] * 5).tolist(), strict=True
        )
    )
    labels = [drawn[text.split()[1]] for text in TEXTS]
    apart = probed(
        plain,
        labels=labels,
        groups=[text.split()[1] for text in TEXTS],
        site="resid.0",
        pooling="mean",
    )
    mixed = probed(plain, labels=labels, site="resid.0", pooling="mean")
    assert mixed.accuracy > 0.95
    assert apart.low < 0.5


def test_a_unit_names_its_layer(context: InstrumentContext) -> None:
    labels = [["a", "b"][i % 2] for i in range(len(TEXTS))]
    by_unit, by_layer = (
        probed(context, site=site, labels=labels) for site in ("mlp.1.7-", "mlp.1")
    )
    assert by_unit == by_layer
    assert by_unit.site == "mlp.1"


def test_neurons_can_be_probed_and_the_same_seed_gives_the_same(context: InstrumentContext) -> None:
    labels = [text.split()[0] for text in TEXTS]
    first, second = (probed(context, site="mlp.0", labels=labels, seed=1) for _ in range(2))
    assert first == second
    assert first.labels == {"the": 20, "a": 20}
    assert "selectivity" in first.render()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"labels": ["a"] * len(TEXTS)}, "two or more labels"),
        ({"labels": ["a", "b"]}, "give one for each text"),
        ({"labels": ["a"] * (len(TEXTS) - 3) + ["b"] * 3}, "3 groups"),
        (
            {"labels": ["a", "b"] * (len(TEXTS) // 2), "site": "head.1"},
            "expected resid.LAYER, mlp.LAYER, or a neuron",
        ),
        ({"labels": ["a", "b"] * (len(TEXTS) // 2), "site": "resid.7"}, "layers 0 to 2"),
    ],
)
def test_invalid_probes_are_argument_errors(
    context: InstrumentContext, arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(ArgumentError, match=says):
        probed(context, **arguments)


def test_near_duplicates_are_never_in_train_and_test(context: InstrumentContext) -> None:
    """Random labels can only be read off by having seen the text, which a copy of it lets one do."""
    labels = np.random.default_rng(0).permutation(["a", "b"] * 20).tolist()
    copies = [f"{text}." for text in TEXTS]
    groups = [str(number) for number in range(2 * len(TEXTS))]
    for given in (None, groups):
        result = probed(context, texts=TEXTS + copies, labels=labels + labels, groups=given)
        assert result.n_groups == len(TEXTS)
        assert result.accuracy < 0.75
