"""What tiny transformers are taught, and that training is seeded, kept, and refused when it comes to nothing."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hubel.bench.known_circuits import trained as training
from hubel.bench.known_circuits.trained import pairs_of_lesson, trained
from hubel.bench.known_circuits.training_tasks import LESSONS, SILENT, lesson
from hubel.tools.errors import UnavailableError, UsageError


@pytest.mark.parametrize("name", LESSONS)
def test_answers_are_those_of_the_task(name: str) -> None:
    ids, targets = lesson(name).draw(np.random.default_rng(0), 200)
    said = {
        _ANSWERS[name](row) == answer
        for row, answer in zip(ids.tolist(), targets[:, -1].tolist(), strict=True)
    }
    assert said == {True}
    assert ids.max() < lesson(name).vocabulary
    assert (targets[:, 0] == SILENT).all()
    assert 0.3 < (targets[:, -1] == targets[0, -1]).mean() < 0.7 or name != "dyck-1"


def _induction(row: list[int]) -> int:
    return row[row.index(row[-1]) + 1]


def _dyck(row: list[int]) -> int:
    depths = np.cumsum([1 if token == 1 else -1 for token in row[1:]])
    return 3 if depths.min() >= 0 and depths[-1] == 0 else 4


_ANSWERS = {
    "induction": _induction,
    "reverse": lambda row: row[1],
    "modular-addition": lambda row: (row[1] + row[2] - 2) % 11 + 1,
    "dyck-1": _dyck,
}


def test_a_model_is_trained_once_and_the_same_for_the_same_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _taught_little(monkeypatch)
    monkeypatch.setattr(training, "GOOD", 0.0)
    one, two = (trained("reverse", 3, tmp_path / name) for name in ("one", "two"))
    assert one.accuracy == two.accuracy
    for first, second in zip(_weights(one), _weights(two), strict=True):
        torch.testing.assert_close(first, second)
    monkeypatch.setattr(training, "_train", None)  # to train again would fail
    for first, second in zip(
        _weights(trained("reverse", 3, tmp_path / "one")), _weights(one), strict=True
    ):
        assert torch.equal(first, second)


def _weights(found: training.Trained) -> list[torch.Tensor]:
    return list(found.model.subject.model.parameters())


def _taught_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LESSONS, "reverse", LESSONS["reverse"]._replace(steps=3))


def test_what_has_not_learned_is_refused_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _taught_little(monkeypatch)
    with pytest.raises(UnavailableError, match="right answers after 3 steps"):
        trained("reverse", 0, tmp_path)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_twins_have_other_answers() -> None:
    pairs = pairs_of_lesson(lesson("dyck-1"), 40, 1)
    assert len(pairs) == 40
    assert (pairs.answer != pairs.foil).all()


def test_an_unknown_name_is_refused_with_the_known() -> None:
    with pytest.raises(UsageError, match="induction, reverse, modular-addition, dyck-1"):
        lesson("nothing")
