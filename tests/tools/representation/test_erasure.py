"""The eraser against its defining property, an optimiser, and another library where it is installed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from hubel.tools.errors import ArgumentError
from hubel.tools.representation.erasure import fit_eraser
from hubel.tools.representation.probe import fitted


def labelled(n: int = 400, width: int = 6, classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    y = random.integers(0, classes, n)
    means = random.normal(size=(classes, width))
    x = (means[y] + random.normal(size=(n, width))) @ random.normal(size=(width, width))
    return x, y


def covariance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    z = np.eye(y.max() + 1)[y]
    return (x - x.mean(axis=0)).T @ (z - z.mean(axis=0)) / len(x)


@pytest.mark.parametrize("classes", [2, 4])
def test_vectors_and_labels_are_uncorrelated_and_no_line_reads_them(classes: int) -> None:
    x, y = labelled(classes=classes)
    erased = fit_eraser(x, y)(x)
    assert np.abs(covariance(x, y)).max() > 0.1
    assert np.abs(covariance(erased, y)).max() < 1e-12
    majority = np.bincount(y).max() / len(y)
    assert fitted(x, y).score(x, y) > majority + 0.1
    assert fitted(erased, y, inverse_penalty=100.0).score(erased, y) <= majority + 1e-9


def test_no_affine_map_with_that_property_changes_less() -> None:
    """Minimise the mean squared change over all maps x + A (x - mean) with covariance 0."""
    x, y = labelled(200, 3)
    centred, c = x - x.mean(axis=0), covariance(x, y)[:, :1]

    def change(flat: np.ndarray) -> float:
        return float(((centred @ flat.reshape(3, 3).T) ** 2).sum(axis=1).mean())

    held = {"type": "eq", "fun": lambda flat: ((flat.reshape(3, 3) + np.eye(3)) @ c)[:, 0]}
    best = minimize(change, np.zeros(9), constraints=[held], method="SLSQP", tol=1e-12)
    ours = float(((fit_eraser(x, y)(x) - x) ** 2).sum(axis=1).mean())
    assert best.success
    assert ours == pytest.approx(best.fun, rel=1e-4)


def test_what_has_nothing_to_do_with_the_label_stays() -> None:
    random = np.random.default_rng(0)
    y = np.arange(4000) % 2
    x = random.normal(size=(4000, 5))
    x[:, 0] += 3 * y
    erased = fit_eraser(x, y)(x)
    assert np.abs(erased[:, 1:] - x[:, 1:]).max() < 0.2
    assert np.corrcoef(erased[:, 1], x[:, 1])[0, 1] > 0.999


def test_a_constant_dimension_does_no_harm() -> None:
    x, y = labelled()
    wide = np.hstack([x, np.ones((len(x), 2))])
    np.testing.assert_allclose(fit_eraser(wide, y)(wide)[:, :6], fit_eraser(x, y)(x), atol=1e-8)


def test_another_library_erases_the_same() -> None:
    concept_erasure = pytest.importorskip(
        "concept_erasure", reason="concept-erasure, another LEACE, is not installed"
    )
    torch = pytest.importorskip("torch")
    x, y = labelled(classes=3)
    other = concept_erasure.LeaceEraser.fit(
        torch.tensor(x), torch.nn.functional.one_hot(torch.tensor(y)).double()
    )
    np.testing.assert_allclose(fit_eraser(x, y)(x), other(torch.tensor(x)).numpy(), atol=1e-6)


def test_one_class_is_said() -> None:
    with pytest.raises(ArgumentError, match="all 4 labels are"):
        fit_eraser(np.zeros((4, 2)), np.zeros(4, int))


def test_with_fewer_vectors_than_dimensions_shrinkage_changes_others_less() -> None:
    random = np.random.default_rng(0)
    y = np.arange(1200) % 2
    x = random.normal(size=(1200, 60))
    x[:, 0] += 1.5 * y
    plain, shrunk = (fit_eraser(x[:50], y[:50], shrink=shrink) for shrink in (False, True))
    assert np.abs(covariance(shrunk(x[:50]), y[:50])).max() < 1e-9

    def change(erased: np.ndarray) -> float:
        return float(((erased - x) ** 2)[50:].sum(axis=1).mean())

    def left(erased: np.ndarray) -> float:
        return float(np.linalg.norm(covariance(erased[50:], y[50:])))

    assert change(shrunk(x)) < change(plain(x)) / 3
    assert left(shrunk(x)) == pytest.approx(left(plain(x)), rel=0.05)
