"""Planted units on a tiny subject: to everything that looks they are neurons, and their truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from hubel.tools.corpus import Corpus, corpus_from_documents
from hubel.tools.corpus.document import Document
from hubel.tools.errors import UsageError
from hubel.tools.index import Collected, Index, build_index, collect
from hubel.tools.index.holdout import open_collected_holdout
from hubel.tools.instruments import InstrumentContext, call
from hubel.tools.subject import (
    Intervention,
    PlantedSubject,
    Site,
    Subject,
    Unit,
    parse_targets,
    plant,
)
from hubel.tools.subject.planted_units import Suite, parse_suite
from tests.support.suites import NULLS_AND_ROTATED, REDRAWN
from tests.support.tiny import N_NEURONS, WORDS, tiny_subject

LENGTH = 16
SUITE = r"""
seed = 3
[[unit]]
id = "days"
layer = 1
meaning = "days of the week"
[[unit.part]]
match = '\b(?:Mon|Tues|Fri)day\b'
strength = 3.0
hold = 1
writes = " cat"
[[unit]]
id = "noisy"
layer = 1
meaning = "numbers"
[[unit.part]]
match = '[0-9]+'
side = "-"
strength = 2.0
noise = 0.1
[[unit]]
id = "two"
layer = 2
meaning = "cats against dogs"
[[unit.part]]
match = 'cat'
strength = 1.0
writes = " river"
[[unit.part]]
match = 'dog'
side = "-"
strength = 2.0
writes = " bank"
[[unit]]
id = "straddling"
layer = 0
meaning = "a phrase over the edge between two contexts"
[[unit.part]]
match = 'year and bank told'
strength = 1.0
"""
SUITE += NULLS_AND_ROTATED + REDRAWN


def documents() -> list[Document]:
    """Sixteen tokens end before "bank": a context of the tests ends there."""
    rng = np.random.default_rng(0)
    start = "the cat was on Monday in the city {:02d} the dog of year and bank told"
    return [
        Document(f"d{i}", f"{start.format(i)} {' '.join(rng.choice(WORDS.split(), 40))}")
        for i in range(60)
    ]


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return corpus_from_documents("made", documents(), "0" * 64)


@pytest.fixture(scope="module")
def base() -> Subject:
    return tiny_subject()


@pytest.fixture(scope="module")
def suite() -> Suite:
    return parse_suite(SUITE)


@pytest.fixture(scope="module")
def planted(base: Subject, suite: Suite, corpus: Corpus) -> PlantedSubject:
    return plant(base, suite, corpus.documents, context_len=LENGTH)


@pytest.fixture(scope="module")
def ids(planted: PlantedSubject) -> torch.Tensor:
    return torch.from_numpy(planted.texts.contexts.tokens[:12].astype(np.int64))


@pytest.fixture(scope="module")
def index(
    planted: PlantedSubject, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory
) -> Index:
    out = tmp_path_factory.mktemp("planted") / "index"
    build_index(planted, corpus, out, sites=("mlp",), context_len=LENGTH)
    return Index.open(out)


# ------------------------------------------------------------------ places


def test_units_stand_behind_the_neurons_of_their_layer_in_shuffled_order(
    planted: PlantedSubject,
) -> None:
    assert planted.shape.n_neurons == (N_NEURONS + 1, N_NEURONS + 6, N_NEURONS + 1)
    of_layer_1 = [unit for unit in planted.address_by_id.values() if unit.layer == 1]
    assert sorted(unit.index for unit in of_layer_1) == list(range(N_NEURONS, N_NEURONS + 6))
    assert of_layer_1 != sorted(of_layer_1), "not in the order of the file"
    assert parse_targets(f"mlp.1.{N_NEURONS}-{N_NEURONS + 5}", planted.shape) == sorted(of_layer_1)


def test_another_seed_gives_another_order(
    base: Subject, corpus: Corpus, planted: PlantedSubject
) -> None:
    orders = {
        tuple(
            plant(
                base, parse_suite(SUITE.replace("seed = 3", f"seed = {seed}")), corpus.documents
            ).address_by_id.values()
        )
        for seed in range(4)
    }
    assert len(orders) > 1
    assert planted.revision.startswith(planted.base.revision + "+")


def test_what_does_not_fit_the_subject_is_refused_by_name(base: Subject, corpus: Corpus) -> None:
    wrong = {
        "layer = 2": ("layer = 9", "'two'.*layer 9.*0 to 2"),
        "shuffled:mlp.0.3": ("shuffled:mlp.0.999", "'null-2'.*mlp.0.999"),
        "redrawn:mlp.1.3": ("redrawn:mlp.2.3", "'control-2'.*same layer"),
        'writes = " cat"': ('writes = " cat dog"', "'days'.*' cat dog'.*one"),
    }
    for old, (new, message) in wrong.items():
        with pytest.raises(UsageError, match=message):
            plant(base, parse_suite(SUITE.replace(old, new)), corpus.documents)


# ------------------------------------------------------------------ values


def test_the_models_own_activations_are_as_they_were(
    planted: PlantedSubject, ids: torch.Tensor
) -> None:
    site = Site("mlp", 1)
    activations = planted.capture(ids, [site]).activations[site]
    assert activations.shape[-1] == N_NEURONS + 6
    assert torch.equal(
        activations[..., :N_NEURONS], planted.base.capture(ids, [site]).activations[site]
    )


def test_a_units_activation_is_what_its_text_says(planted: PlantedSubject) -> None:
    days = planted.address_by_id["days"]
    tokens = planted.tokenize("said on Monday the cat was blue")
    activations = planted.unit_activations(torch.tensor([tokens.ids]), [days])[0, 0]
    strings = [planted.token_strings()[i] for i in tokens.ids]
    assert strings == ["said", " on", " Monday", " the", " cat", " was", " blue"]
    assert activations.tolist() == [0, 0, 3, 3, 0, 0, 0]


def test_contexts_of_the_corpus_are_read_in_their_documents(planted: PlantedSubject) -> None:
    """The pattern runs over the edge between contexts; neither context alone has it."""
    unit, contexts = planted.address_by_id["straddling"], planted.texts.contexts
    first, second = contexts.tokens[0:1], contexts.tokens[1:2]
    strings = [
        "".join(planted.token_strings()[i] for i in row) for row in np.concatenate([first, second])
    ]
    assert strings[0].endswith("year and")
    assert strings[1].startswith(" bank told")
    values = planted.truth(unit, contexts.tokens[:2])
    assert values[0].any()
    assert values[1].any()
    changed = first.copy()
    changed[0, 0] = changed[0, 1]
    assert not planted.truth(unit, changed).any(), "a new text is matched by itself"


def test_padding_changes_nothing(planted: PlantedSubject, ids: torch.Tensor) -> None:
    units = [planted.address_by_id[name] for name in ("days", "noisy", "null-1", "null-2")]
    wide = torch.cat([ids[:3], torch.zeros(3, 5, dtype=torch.long)], dim=1)
    assert torch.equal(
        planted.unit_activations(wide, units)[..., :LENGTH],
        planted.unit_activations(ids[:3], units),
    )


def test_noise_is_gaussian_of_its_share_and_follows_from_unit_and_text(
    planted: PlantedSubject,
) -> None:
    noisy, tokens = planted.address_by_id["noisy"], planted.texts.contexts.tokens
    values = planted.unit_activations(torch.from_numpy(tokens.astype(np.int64)), [noisy])[0].numpy()
    noise = (values - planted.truth(noisy, tokens)).ravel()
    assert abs(noise.std() - 0.1 * 2.0) < 0.01
    assert abs(noise.mean()) < 0.01
    again = planted.unit_activations(torch.from_numpy(tokens[5:6].astype(np.int64)), [noisy])[
        0
    ].numpy()
    assert np.array_equal(again[0], values[5])


def test_nulls_and_controls_are_those_of_nulls(planted: PlantedSubject, ids: torch.Tensor) -> None:
    site = Site("mlp", 1)
    activations = planted.capture(ids, [site]).activations[site]
    for name in ("null-1", "control-1", "control-2"):
        unit = planted.address_by_id[name]
        artificial = planted._values.artificial[unit]
        expected = artificial.values(planted.base.capture(ids, artificial.sources).activations, ids)
        torch.testing.assert_close(activations[..., unit.index], expected)
        torch.testing.assert_close(planted.unit_activations(ids, [unit])[0], expected)


def test_a_shuffled_null_has_another_contexts_values_of_the_same_split(
    planted: PlantedSubject,
) -> None:
    null, contexts = planted.address_by_id["null-2"], planted.texts.contexts
    ids = torch.from_numpy(contexts.tokens.astype(np.int64))
    source = planted.base.unit_activations(ids, [Unit("mlp", 0, 3)])[0].numpy().astype(np.float16)
    activations = planted.unit_activations(ids, [null])[0].numpy().astype(np.float16)
    whole = contexts.length == LENGTH
    for split in range(3):
        rows = np.flatnonzero((contexts.split == split) & whole)
        givers = {
            row.tobytes(): number for number, row in zip(rows.tolist(), source[rows], strict=True)
        }
        matched = [
            givers[activations[row].tobytes()]
            for row in rows
            if activations[row].tobytes() in givers
        ]
        assert len(matched) > len(rows) / 4
        assert len(set(matched)) == len(matched)


# ------------------------------------------------------------------ interventions


def unembedding(subject: Subject) -> torch.Tensor:
    return cast(torch.Tensor, subject.parts.unembed.weight)


def logits(subject: Subject, ids: torch.Tensor, *edits: Intervention) -> torch.Tensor:
    captured = subject.capture(
        ids, [], logits=True, interventions=[list(edits)] * len(ids) if edits else None
    ).logits
    assert captured is not None
    return captured


def test_writing_units_add_their_tokens_unembedding_after_the_layer(
    planted: PlantedSubject, ids: torch.Tensor
) -> None:
    days, base = planted.address_by_id["days"], planted.base
    place = Site("stream", 1)
    added = (
        planted.capture(ids, [place]).activations[place]
        - base.capture(ids, [place]).activations[place]
    )
    (cat,) = planted.tokenize(" cat").ids
    direction = unembedding(base)[cat]
    expected = planted.unit_activations(ids, [days])[0][..., None] * direction
    torch.testing.assert_close(added, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(planted.write_direction(days), direction)


def test_interventions_on_planted_units_change_the_output(
    planted: PlantedSubject, ids: torch.Tensor
) -> None:
    days, two_parts = planted.address_by_id["days"], planted.address_by_id["two"]
    without = logits(planted, ids, Intervention(days, "zero"), Intervention(two_parts, "zero"))
    torch.testing.assert_close(without, logits(planted.base, ids))
    as_is = logits(planted, ids)
    assert (as_is - without).abs().max() > 0.1
    assert torch.equal(logits(planted, ids, Intervention(days, "scale", value=1.0)), as_is)
    steered = logits(
        planted, ids, Intervention(days, "set", value=5.0), Intervention(two_parts, "zero")
    )
    naive = base_with_write(planted, ids, 5.0)
    torch.testing.assert_close(steered, naive)


def base_with_write(planted: PlantedSubject, ids: torch.Tensor, value: float) -> torch.Tensor:
    """The bare model with a hook that adds the days unit's write by hand."""
    direction = planted.write_direction(planted.address_by_id["days"])

    def hook(_module: object, _args: object, output: torch.Tensor | tuple) -> object:
        if isinstance(output, tuple):
            return (output[0] + value * direction, *output[1:])
        return output + value * direction

    handle = planted.parts.layers[1].whole.register_forward_hook(hook)
    try:
        return logits(planted.base, ids)
    finally:
        handle.remove()


def test_each_part_writes_its_own_token(planted: PlantedSubject) -> None:
    tokens = torch.tensor([planted.tokenize("said the cat and the dog").ids])
    place = Site("stream", 2)
    (river,), (bank,) = planted.tokenize(" river").ids, planted.tokenize(" bank").ids
    added = (
        planted.capture(tokens, [place]).activations[place]
        - planted.base.capture(tokens, [place]).activations[place]
    )
    weight = unembedding(planted.base)
    torch.testing.assert_close(added[0, 2], 1.0 * weight[river], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(added[0, 5], -2.0 * weight[bank], atol=1e-5, rtol=1e-4)
    assert not added[0, 1].abs().max() > 1e-5


def test_units_that_write_nothing_change_nothing(
    planted: PlantedSubject, ids: torch.Tensor
) -> None:
    as_is = logits(planted, ids)
    for name in ("noisy", "null-1", "null-2", "control-1"):
        unit = planted.address_by_id[name]
        assert torch.equal(logits(planted, ids, Intervention(unit, "set", value=9.0)), as_is)
        assert not planted.write_direction(unit).any()


def test_edited_values_are_what_is_read(planted: PlantedSubject, ids: torch.Tensor) -> None:
    noisy = planted.address_by_id["noisy"]
    edit = Intervention(noisy, "set", value=7.0, positions=(2, 3))
    activations = planted.unit_activations(ids, [noisy], interventions=[[edit]] * len(ids))[0]
    assert (activations[:, 2:4] == 7).all()
    assert torch.equal(activations[:, 4:], planted.unit_activations(ids, [noisy])[0][:, 4:])
    source = tuple(ids[1].tolist())
    patched = planted.unit_activations(
        ids[:1], [noisy], interventions=[[Intervention(noisy, "patch", source=source)]]
    )
    assert torch.equal(patched[0, 0], planted.unit_activations(ids, [noisy])[0, 1])


# ------------------------------------------------------------------ to those who look


def test_index_collect_and_on_text_see_the_same(
    planted: PlantedSubject, index: Index, tmp_path: Path
) -> None:
    units = list(planted.address_by_id.values())
    collect(planted, index, units, tmp_path)
    bench = InstrumentContext(subject=planted, index=index)
    splits = {
        "explore": Collected.open(tmp_path, "explore"),
        "holdout": open_collected_holdout(tmp_path),
    }
    for collected in splits.values():
        for name, unit in planted.address_by_id.items():
            own = planted.unit_activations(
                torch.from_numpy(collected.tokens.astype(np.int64)), [unit]
            )[0].numpy()
            seen = np.where(np.arange(LENGTH) < collected.length[:, None], own, 0)
            np.testing.assert_allclose(collected.activations(unit), seen, atol=5e-3, err_msg=name)
    explore = splits["explore"]
    for name in ("days", "noisy"):
        unit = planted.address_by_id[name]
        values = explore.activations(unit)[explore.mask]
        assert index.statistics(unit).mean == pytest.approx(float(values.mean()), abs=1e-3)
        side = "-" if name == "noisy" else "+"
        exemplars = call(
            "activations.exemplars", {"unit": str(unit), "side": side, "k": 3}, bench
        ).to_json()["exemplars"]
        assert exemplars
        for exemplar in exemplars:
            row = explore.activations(unit)[list(explore.context).index(exemplar["context"])]
            np.testing.assert_allclose(
                exemplar["activations"][1:], row[1 : len(exemplar["tokens"])], atol=5e-3
            )
    text = "told the cat that Tuesday was red in 1999"
    days, noisy = str(planted.address_by_id["days"]), str(planted.address_by_id["noisy"])
    result = call(
        "activations.on_text", {"texts": [text], "units": [days, noisy]}, bench
    ).to_json()["texts"][0]
    assert result["activations"][days][result["tokens"].index(" Tuesday")] == 3
    assert result["activations"][noisy][result["tokens"].index(" 1999")] == pytest.approx(
        -2, abs=0.8
    )


def test_instruments_take_them_for_neurons(planted: PlantedSubject, index: Index) -> None:
    bench = InstrumentContext(subject=planted, index=index)
    days, noisy = (str(planted.address_by_id[name]) for name in ("days", "noisy"))
    texts = ["the cat was on Monday in the city"]
    assert (
        call("ablate", {"unit": days, "texts": texts, "op": "zero"}, bench).to_json()["mean_kl"]
        > 1e-3
    )
    assert (
        call("ablate", {"unit": noisy, "texts": texts, "op": "zero"}, bench).to_json()["mean_kl"]
        == 0
    )
    lens = call("logit_lens", {"unit": days, "k": 3}, bench).to_json()
    assert lens["spread"] > 0
    assert call("logit_lens", {"unit": noisy, "k": 3}, bench).to_json()["spread"] == 0


def test_the_table_of_shuffled_nulls_is_made_once(
    base: Subject, suite: Suite, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = plant(base, suite, corpus.documents, context_len=LENGTH)
    ids = torch.from_numpy(fresh.texts.contexts.tokens[:2].astype(np.int64))
    fresh.unit_activations(ids, [fresh.address_by_id["null-2"]])
    monkeypatch.setattr(base, "unit_activations", lambda *_: pytest.fail("a second pass"))
    assert fresh.unit_activations(ids, [fresh.address_by_id["null-2"]]).any()


def test_tokens_that_no_text_gives_are_read_one_by_one(planted: PlantedSubject) -> None:
    """Letter by letter, as the tokenizer never cuts it, "Monday" is still a match."""
    strings = planted.token_strings()
    ids = [strings.index(letter) for letter in " Monday x"]
    assert planted.tokenize(" Monday x").ids != ids
    activations = planted.unit_activations(torch.tensor([ids]), [planted.address_by_id["days"]])[
        0, 0
    ]
    assert activations.tolist() == [0, 3, 3, 3, 3, 3, 3, 3, 0], (
        "the space has nothing visible; one token is held"
    )


@pytest.mark.slow
@pytest.mark.subject
def test_writes_reach_the_output_of_the_default_subject(subject: Subject) -> None:
    """The written token is what the logit lens shows, and taking the unit away changes what follows."""
    planted = plant(subject, parse_suite(SUITE.replace(" cat", " morning")), documents())
    bench = InstrumentContext(subject=planted, index=None)
    days = str(planted.address_by_id["days"])
    assert call("logit_lens", {"unit": days, "k": 1}, bench).to_json()["promoted"]["tokens"] == [
        " morning"
    ]
    texts = ["He said that on Monday the shops were closed.", "The shops in the city were closed."]
    fires, silent = call("ablate", {"unit": days, "texts": texts, "op": "zero"}, bench).to_json()[
        "texts"
    ]
    assert max(fires["kl"][1:]) > 1e-3
    assert max(silent["kl"]) < 1e-6
