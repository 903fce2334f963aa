"""What a watch reads: a step with a cache is a text read at once, and channels are plain means."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hubel.tools.errors import CorruptError, UsageError
from hubel.tools.instruments.continuation import Sampling, continue_text
from hubel.tools.monitoring.baseline import Baseline, WatchSettings
from hubel.tools.monitoring.channels import TextSignals, channel_names, channel_scores
from hubel.tools.monitoring.reader import UnitReader
from hubel.tools.monitoring.watch import Watch
from hubel.tools.subject import Site, Unit
from tests.support.tiny import MODEL_TYPES, tiny_subject

UNITS = [Unit.parse(address) for address in ("mlp.1.3", "head.2.1", "mlp.0.7-", "mlp.1.0")]
TEXT = "the cat in the city said that it was not very red"


@pytest.mark.parametrize("family", MODEL_TYPES)
def test_writing_with_a_cache_reads_what_one_pass_over_the_text_reads(family: str) -> None:
    subject = tiny_subject(family)
    reader, ids = UnitReader(subject, UNITS), list(subject.tokenize(TEXT).ids)
    steps = list(reader.write(ids, Sampling(6)))
    written = reader.reading_of(steps)
    whole = reader.read([*ids, *(step.id for step in steps)])
    for after, at_once in zip(written[1:], whole[1:], strict=True):
        np.testing.assert_allclose(after, at_once[..., len(ids) - 1 :], rtol=2e-4, atol=2e-4)
    assert written.tokens == whole.tokens[len(ids) - 1 :]
    (usual,) = continue_text(subject, ids, 1, lambda _: [[]], Sampling(6))
    assert [step.id for step in steps] == usual


def test_a_text_is_read_as_capture_reads_it() -> None:
    subject = tiny_subject()
    ids = list(subject.tokenize(TEXT).ids)
    reading = UnitReader(subject, UNITS).read(ids)
    captured = subject.capture(
        torch.tensor([ids]), [*(u.place for u in UNITS), Site("stream", 1)], logits=True
    )
    for unit, signal in zip(UNITS, reading.signals, strict=True):
        raw = captured.activations[unit.place][0, 1:, unit.index].numpy()
        np.testing.assert_allclose(signal, unit.signal(raw), rtol=1e-6)
    length = captured.activations[Site("stream", 1)][0, 1:].norm(dim=-1).log().numpy()
    np.testing.assert_allclose(reading.lengths[1], length, rtol=1e-6)
    assert captured.logits is not None
    log_p = captured.logits[0, :-1].log_softmax(-1)[range(len(ids) - 1), ids[1:]]
    np.testing.assert_allclose(reading.surprisal, -log_p.numpy(), rtol=1e-4)


def test_hooks_are_gone_between_steps() -> None:
    subject = tiny_subject()
    steps = UnitReader(subject, UNITS).write(list(subject.tokenize(TEXT).ids), Sampling(3))
    next(steps)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in subject.model.modules())


def test_channels_are_means_and_root_mean_squares() -> None:
    signals = np.array([[3.0, -4.0], [1.0, 1.0]])
    reading = TextSignals(["a", "b"], signals, np.array([[1.0, 2.0]]), np.array([4.0, 6.0]))
    scores = channel_scores(reading)
    assert scores == pytest.approx([-0.5, np.sqrt(12.5), 1, 1, 1.5, 5])
    assert len(channel_names(UNITS[:2], 1)) == len(scores)


def test_a_baseline_is_read_back_and_refuses_what_was_read_otherwise(tmp_path: Path) -> None:
    settings = WatchSettings(("a", "b"), None, 4, 0.5)
    path = tmp_path / "b.json"
    Baseline("s", "r", settings, np.arange(8.0).reshape(4, 2)).write(path)
    back = Baseline.read(path)
    assert (back.settings, back.scores.tolist()) == (settings, [[0, 1], [2, 3], [4, 5], [6, 7]])
    with pytest.raises(UsageError, match="new tokens 4 then, 8 now"):
        back.require(WatchSettings(("a", "b"), None, 8, 0.5))
    with pytest.raises(UsageError, match=r"other channels \(c\)"):
        back.require(WatchSettings(("a", "b", "c"), None, 4, 0.5))
    path.write_text(path.read_text().replace("3.0", "9.0"))
    with pytest.raises(CorruptError, match="damaged"):
        Baseline.read(path)
    with pytest.raises(UsageError, match="--save-baseline"):
        Baseline.read(tmp_path / "none")


def test_texts_that_are_too_short_or_too_long_are_counted() -> None:
    watch = Watch(UnitReader(tiny_subject(), UNITS), WatchSettings(()))
    assert watch.ids_of("") is None
    assert len(watch.ids_of("the cat " * 200) or ()) == 128
    assert (watch.too_short, watch.cut) == (1, 1)
    watch.settings = WatchSettings((), new_tokens=200)
    with pytest.raises(UsageError, match="ask for fewer"):
        watch.ids_of("the cat")
