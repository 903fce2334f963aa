"""Nulls and controls are investigated like real units: every instrument answers; none tells them apart."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

from hubel.agent.investigation.null_instruments import NullInstruments
from hubel.agent.investigation.split_data import SplitData
from hubel.agent.run.replay import replay
from hubel.agent.runlog.config import RunConfig
from hubel.agent.runlog.log import RunLog, canonical
from hubel.agent.runlog.views import target_rows
from hubel.tools import instruments
from hubel.tools.index import Collected, Index
from hubel.tools.instruments import InstrumentContext
from hubel.tools.subject.address import Unit
from hubel.tools.subject.subject import Subject
from tests.support.language_model_runs import RunModel
from tests.support.scripted_model import ScriptedModel, diligent

NULLS = {
    "mlp.1.24": "noise",
    "mlp.1.25": "shuffled:mlp.1.3",
    "mlp.1.26": "rotated",
    "mlp.1.27": "redrawn:mlp.1.5",
}
TEXTS = ["the cat sat on the river bank", "Monday the dog said not very red"]


@pytest.fixture
def doubles(run_model: RunModel, tiny: Subject, tiny_index: Any) -> NullInstruments:
    """Of a run that was made for its collected activations."""
    folder, _ = run_model(ScriptedModel(diligent), targets=[*NULLS], nulls=NULLS)
    bench = InstrumentContext(subject=tiny, index=Index.open(tiny_index))
    explore = Collected.open(folder / "collected", "explore")
    data = SplitData(explore, explore, _Lexicon(tiny))  # type: ignore[arg-type]
    return NullInstruments(RunConfig.load(folder), bench, data)


class _Lexicon:
    def __init__(self, subject: Subject) -> None:
        self.strings = subject.token_strings()


def values(
    doubles: NullInstruments, target: str, texts: list[str], unit: str | None = None
) -> list[list[float]]:
    result = doubles.call(
        Unit.parse(target), "activations.on_text", {"texts": texts, "units": [unit or target]}
    ).to_json()
    return [text["activations"][unit or target] for text in result["texts"]]


@pytest.mark.slow
def test_nulls_and_controls_end_like_real_units_and_replay(run_model: RunModel) -> None:
    model = ScriptedModel(diligent)
    folder, result = run_model(model, targets=[*NULLS, "mlp.1.0"], nulls=NULLS)
    assert (result.done, result.failed) == (5, 0)
    log = RunLog(folder, writable=False)
    for target in [*NULLS, "mlp.1.0"]:
        outcomes = log.all("outcome", target).values()
        assert len(outcomes) == 16
        assert all(o["outcome"] != "void" for o in outcomes)
    assert target_rows(folder)[0]["verdict"] != "kept"
    assert replay(folder).bitwise


@pytest.mark.slow
def test_nothing_that_is_said_tells_a_null_from_a_unit(run_model: RunModel) -> None:
    model = ScriptedModel(diligent)
    folder, _ = run_model(model, targets=[*NULLS, "mlp.1.0"], nulls=NULLS)
    requests = canonical([r.to_json() for r in model.requests])
    assert not re.search(r"noise|shuffled|rotated|redrawn|not possible|mlp\.\d", requests)
    log = RunLog(folder, writable=False)
    shapes = {_shape(log.get("observation", target)) for target in [*NULLS, "mlp.1.0"]}
    assert len(shapes) == 1, "the same kinds of evidence, as many of each"
    for target in [*NULLS, "mlp.1.0"]:
        answers = [call["answer"] for call in log.all("call", target).values()]
        assert len(answers) == len(log.all("call", "mlp.1.0"))
        assert not any(answer.get("error") for answer in answers)


def _shape(seen: Any) -> str:
    return canonical({k: sorted(v) if isinstance(v, dict) else k for k, v in seen.items()})


@pytest.mark.slow
def test_noise_on_new_text_is_standard_normal_and_the_same_for_the_same_text(
    doubles: NullInstruments,
) -> None:
    texts = [f"the cat {n} said" for n in range(200)]
    activations = values(doubles, "mlp.1.24", texts)
    assert activations == values(doubles, "mlp.1.24", texts)
    flat = np.concatenate([np.array(v) for v in activations])
    assert abs(flat.mean()) < 4 / np.sqrt(len(flat))
    assert abs(flat.std() - 1) < 4 / np.sqrt(2 * len(flat))
    last = [v[-1] for v in activations]
    assert len(set(last)) == 200, "the same token differs from text to text"


@pytest.mark.slow
def test_a_shuffled_null_shows_its_source_on_another_context(
    doubles: NullInstruments, tiny: Subject
) -> None:
    (activations,) = values(doubles, "mlp.1.25", TEXTS[:1])
    explore = doubles._explore
    ids = tiny.tokenize(TEXTS[0])[0]
    contexts = zip(explore.tokens, explore.length, strict=True)
    donors = [np.resize(row[:length], len(ids)) for row, length in contexts]
    tokens = torch.tensor(np.array(donors).astype(int))
    on_donors = tiny.unit_activations(tokens, [Unit.parse("mlp.1.3")])[0].numpy()
    assert np.isclose(on_donors, activations, atol=1e-4).all(axis=1).any()


@pytest.mark.slow
@pytest.mark.parametrize("target", ["mlp.1.26", "mlp.1.27"])
def test_a_control_on_new_text_is_what_its_rows_make_of_it(
    doubles: NullInstruments, tiny: Subject, target: str
) -> None:
    (activations, _), (alone,) = values(doubles, target, TEXTS), values(doubles, target, TEXTS[:1])
    assert activations == pytest.approx(alone, abs=1e-4)
    (side, _) = values(doubles, target, TEXTS, unit=f"{target}-")
    assert side == pytest.approx([max(0.0, -v) for v in activations], abs=1e-4)


@pytest.mark.slow
def test_a_null_writes_what_its_double_writes(doubles: NullInstruments, tiny: Subject) -> None:
    bench = InstrumentContext(subject=tiny)
    for target, double in (("mlp.1.25", "mlp.1.3"), ("mlp.1.27", "mlp.1.5")):
        own = doubles.call(Unit.parse(target), "logit_lens", {"unit": target}).to_json()
        its = instruments.call("logit_lens", {"unit": double}, bench).to_json()
        assert own["promoted"] == its["promoted"]
        assert double not in canonical(own)


@pytest.mark.slow
def test_exemplars_and_statistics_of_a_null_are_those_of_its_activations(
    doubles: NullInstruments,
) -> None:
    explore = doubles._explore
    raw = explore.activations(Unit.parse("mlp.1.24"))
    seen = doubles.call(
        Unit.parse("mlp.1.24"), "activations.statistics", {"unit": "mlp.1.24"}
    ).to_json()
    assert seen["max"] == pytest.approx(float(raw[explore.mask].max()), abs=1e-3)
    assert (seen["n"], seen["unit"]) == (int(explore.mask.sum()), "mlp.1.24")
    for kind in ("top", "quantile", "random"):
        arguments = {"unit": "mlp.1.24", "side": "-", "kind": kind, "k": 5}
        exemplars = doubles.call(
            Unit.parse("mlp.1.24"), "activations.exemplars", arguments
        ).to_json()["exemplars"]
        peaks = [passage["activations"][passage["peak"]] for passage in exemplars]
        assert len(exemplars) == 5
        assert peaks == sorted(peaks)
        assert peaks[0] >= seen["min"] - 1e-3
        assert (abs(peaks[0] - seen["min"]) < 1e-3) or kind != "top"
