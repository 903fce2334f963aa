"""Training tasks; training is seeded, cached, and refused when the model has not learned."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hubel.bench.known_circuits import trained as training
from hubel.bench.known_circuits.trained import load_trained, pairs_of_task
from hubel.bench.known_circuits.training_tasks import SILENT, TASKS, training_task
from hubel.tools.errors import UnavailableError, UsageError


@pytest.mark.parametrize("name", TASKS)
def test_answers_are_those_of_the_task(name: str) -> None:
    ids, targets = training_task(name).draw(np.random.default_rng(0), 200)
    correct = {
        _ANSWERS[name](row) == answer
        for row, answer in zip(ids.tolist(), targets[:, -1].tolist(), strict=True)
    }
    assert correct == {True}
    assert ids.max() < training_task(name).vocabulary
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
    _few_steps(monkeypatch)
    monkeypatch.setattr(training, "MIN_ACCURACY", 0.0)
    left, right = (load_trained("reverse", 3, tmp_path / name) for name in ("one", "two"))
    assert left.accuracy == right.accuracy
    for first, second in zip(_weights(left), _weights(right), strict=True):
        torch.testing.assert_close(first, second)
    monkeypatch.setattr(training, "_train", None)  # to train again would fail
    for first, second in zip(
        _weights(load_trained("reverse", 3, tmp_path / "one")), _weights(left), strict=True
    ):
        assert torch.equal(first, second)


def _weights(trained: training.TrainedModel) -> list[torch.Tensor]:
    return list(trained.model.subject.model.parameters())


def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS, "reverse", TASKS["reverse"]._replace(steps=3))


def test_a_model_that_has_not_learned_is_refused_and_not_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _few_steps(monkeypatch)
    with pytest.raises(UnavailableError, match="after 3 steps"):
        load_trained("reverse", 0, tmp_path)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_twins_have_other_answers() -> None:
    pairs = pairs_of_task(training_task("dyck-1"), 40, 1)
    assert len(pairs) == 40
    assert (pairs.answer != pairs.foil).all()


def test_an_unknown_name_is_refused_with_the_known() -> None:
    with pytest.raises(UsageError, match="induction, reverse, modular-addition, dyck-1"):
        training_task("nothing")
