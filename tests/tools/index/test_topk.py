"""Top-k against sorting everything, with ties, ragged batches, and any way of cutting the stream."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hubel.tools.index.topk import TopK, merge_topk, sort_keys, update_topk

SEQ, UNITS = 5, 6


def stream(seed: int, n: int, *, coarse: bool) -> tuple[np.ndarray, np.ndarray]:
    """Activations of n contexts and their lengths; `coarse` makes many ties."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, SEQ, UNITS)).astype(np.float32)
    if coarse:
        values = np.round(values)
    return values, rng.integers(2, SEQ + 1, n)


def fed(
    top: TopK, values: np.ndarray, lengths: np.ndarray, at: np.ndarray, *, blocks: int = 1
) -> None:
    """One batch of the contexts `at`, unit blocks one after another."""
    real = (np.arange(SEQ) < lengths[at, None]) & (np.arange(SEQ) > 0)
    best = np.where(real[..., None], values[at], -np.inf).max(axis=1).astype(np.float32)

    def copy_rows(context: np.ndarray, unit: np.ndarray, seq: int) -> np.ndarray:
        assert (np.diff(context) >= 0).all()
        rows = np.where(real[..., None], values[at], 0)[context, :, unit]
        return rows[:, :seq].astype(np.float16)

    for units in np.array_split(np.arange(UNITS), blocks):
        update_topk([top], [best], at, copy_rows, slice(units[0], units[-1] + 1))


def naive(values: np.ndarray, lengths: np.ndarray, unit: int, k: int) -> list[tuple[float, int]]:
    peaks = [(-values[n, 1 : lengths[n], unit].max(), n) for n in range(len(values))]
    return [(-peak, n) for peak, n in sorted(peaks)[:k]]


@given(
    st.integers(0, 999),
    st.integers(4, 40),
    st.integers(1, 4),
    st.integers(1, 9),
    st.booleans(),
    st.integers(1, 3),
)
def test_equals_sorting_everything(
    seed: int, n: int, k: int, batch: int, coarse: bool, blocks: int
) -> None:
    values, lengths = stream(seed, n, coarse=coarse)
    top = TopK.empty(UNITS, k, SEQ)
    order = np.random.default_rng(seed).permutation(n)
    for start in range(0, n, batch):
        fed(top, values, lengths, order[start : start + batch], blocks=blocks)
    ranked, contexts, rows = top.ranked()
    for unit in range(UNITS):
        expected = naive(values, lengths, unit, k)
        assert contexts[unit].tolist() == [context for _, context in expected]
        assert ranked[unit].tolist() == [value for value, _ in expected]
        for row, (_, context) in zip(rows[unit], expected, strict=True):
            whole = np.zeros(SEQ, np.float16)
            whole[1 : lengths[context]] = values[context, 1 : lengths[context], unit].astype(
                np.float16
            )
            assert (row == whole).all()


@given(st.integers(0, 999), st.integers(0, 12), st.integers(3, 12), st.booleans())
def test_two_parts_merge_into_the_whole(seed: int, n_a: int, n_b: int, coarse: bool) -> None:
    values, lengths = stream(seed, n_a + n_b, coarse=coarse)
    parts = np.split(np.random.default_rng(seed).permutation(n_a + n_b), [n_a])
    tops = [TopK.empty(UNITS, 3, SEQ) for _ in range(3)]
    for top, part in zip(tops, [*parts, np.arange(n_a + n_b)], strict=True):
        if len(part):
            fed(top, values, lengths, part)
    merged, reverse = merge_topk(tops[0], tops[1]), merge_topk(tops[1], tops[0])
    for a, b, whole in zip(merged.ranked(), reverse.ranked(), tops[2].ranked(), strict=True):
        assert (a == whole).all()
        assert (b == whole).all()


def test_keys_are_in_the_order_of_the_values() -> None:
    values = np.array([-np.inf, -3e38, -1.5, -1e-40, 0.0, 1e-40, 1.0, 65504.0, np.inf], np.float32)
    keys = sort_keys(values[None], np.zeros(len(values), int))[0]
    assert (np.diff(keys) > 0).all()
    tied = sort_keys(np.ones((1, 3), np.float32), np.array([5, 2, 9]))[0]
    assert tied.argmax() == 1
