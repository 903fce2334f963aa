"""Numbers that do not fit are errors that name the unit and the cure, never stored as something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hubel.tools.corpus import Corpus
from hubel.tools.errors import ArgumentError, UsageError
from hubel.tools.index import Collected, ExemplarCounts, Index, build_index, collect
from hubel.tools.instruments import InstrumentContext, instruments
from hubel.tools.subject.address import Site, Unit
from hubel.tools.subject.interventions import Intervention
from hubel.tools.subject.subject import Subject
from tests.support.tiny import tiny_subject

from .conftest import CONTEXT_LEN

LARGE, OTHER = Unit("mlp", 1, 5), Unit("mlp", 1, 6)


def index_of(subject: Subject, corpus: Corpus, out: Path) -> Index:
    counts = ExemplarCounts(top=(2, 1, 1))
    build_index(subject, corpus, out, context_len=CONTEXT_LEN, exemplar_counts=counts)
    return Index.open(out)


def with_large_neuron(factor: float) -> Subject:
    """A subject with a neuron whose activations are `factor` times as large, with the same effect."""
    subject = tiny_subject()
    mlp = subject.model.model.layers[LARGE.layer].mlp
    mlp.up_proj.weight[LARGE.index] *= factor
    mlp.down_proj.weight[:, LARGE.index] /= factor
    return subject


def test_a_float16_subject_that_overflows_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    subject = with_large_neuron(1e6)
    subject.model.to(torch.float16)
    message = (
        r"tiny-llama in float16 .* not finite at .* of mlp\.1, in document 'd.*--dtype bfloat16"
    )
    with pytest.raises(UsageError, match=message):
        index_of(subject, corpus, tmp_path / "i")
    good = index_of(tiny_subject(), corpus, tmp_path / "good")
    with pytest.raises(UsageError, match=r"not finite at mlp\.1\.5, in document.*float32"):
        collect(subject, good, [OTHER, LARGE], tmp_path / "collected")
    with pytest.raises(UsageError, match=r"not finite at mlp\.1: float16 ends at 65,504"):
        subject.capture(torch.tensor([[5, 6, 7]]), [Site("mlp", 1)])


def test_a_subject_with_nan_is_refused_in_any_dtype(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"in float32 computes .* check the weights"):
        index_of(with_large_neuron(float("nan")), corpus, tmp_path / "i")


def test_a_unit_beyond_float16_fails_alone(corpus: Corpus, tmp_path: Path) -> None:
    subject = with_large_neuron(1e6)
    index = index_of(subject, corpus, tmp_path / "i")
    for look_up in (index.exemplars, index.statistics):
        with pytest.raises(UsageError, match=r"mlp\.1\.5 has activations beyond ±65,504"):
            look_up(LARGE)
        assert look_up(OTHER)
    assert index.site_statistics(Site("mlp", 1)).max[LARGE.index] > 1e5  # extremes are exact
    collect(subject, index, [LARGE, OTHER], tmp_path / "c")
    explore = Collected.open(tmp_path / "c", "explore")
    with pytest.raises(UsageError, match=r"mlp\.1\.5 has activations beyond"):
        explore.activations(LARGE)
    assert np.isfinite(explore.activations(OTHER)).all()


def test_only_tokens_that_count_can_be_out_of_range(corpus: Corpus, tmp_path: Path) -> None:
    """The first token is often an attention sink, and its activations far larger than others."""
    subject = tiny_subject()

    def sink(_module: object, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
        values = inputs[0].clone()
        values[:, 0] *= 1e6
        return (values,)

    handle = subject.parts.layers[1].mlp_down.register_forward_pre_hook(sink)
    try:
        index = index_of(subject, corpus, tmp_path / "i")
        collect(subject, index, [LARGE], tmp_path / "c")
    finally:
        handle.remove()
    assert index.exemplars(LARGE)
    assert np.abs(Collected.open(tmp_path / "c", "explore").activations(LARGE)).max() <= 65504


def test_an_intervention_that_overflows_can_be_repaired() -> None:
    subject = tiny_subject()
    subject.model.to(torch.float16)
    with pytest.raises(ArgumentError, match="give smaller values"):
        subject.capture(
            torch.tensor([[5, 6, 7]]),
            [],
            interventions=[[Intervention(Unit("mlp", 1, 5), "scale", value=1e12)]],
            logits=True,
        )


def test_instruments_report_an_overflow_in_one_line(corpus: Corpus, tmp_path: Path) -> None:
    subject = with_large_neuron(1e6)
    index = index_of(subject, corpus, tmp_path / "i")
    subject.model.to(torch.float16)
    context, calls = InstrumentContext(subject=lambda: subject, index=index), instruments()
    texts = {"texts": ["the cat sat on the river bank"]}
    for name, arguments in {
        "activations.on_text": {"units": ["mlp.1.5"], **texts},
        "activations.search": {"text": texts["texts"][0]},
        "activations.exemplars": {"unit": "mlp.1.5"},
        "activations.statistics": {"unit": "mlp.1.5"},
        "corpus.search": {"unit": "mlp.1.5", "pattern": "river"},
        "ablate": {"unit": "mlp.1.5", **texts},
        "attribute": {"text": "the cat sat", "unit": "mlp.1.5", "baseline": "zero"},
        "coactivating": {"unit": "mlp.1.6"},
    }.items():
        with pytest.raises((UsageError, ArgumentError), match=r"not finite|beyond ±65,504"):
            calls[name](context, arguments)
