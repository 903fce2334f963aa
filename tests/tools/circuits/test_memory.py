"""What scoring takes is said before it is taken, and what does not fit is refused with what would."""

from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import torch

from hubel.tools.circuits import attribution, edge_integrated_gradients, memory
from hubel.tools.circuits.attribution import attribute
from hubel.tools.circuits.circuit_model import CircuitModel
from hubel.tools.circuits.memory import bytes_per_token, check_fits
from hubel.tools.circuits.prompts import PromptPairs
from hubel.tools.circuits.selftest import open_circuit_model
from hubel.tools.errors import UsageError
from hubel.tools.files.memory import free_memory
from tests.support.tiny import tiny_subject

from .conftest import random_pairs


@pytest.fixture(scope="module")
def model() -> CircuitModel:
    return open_circuit_model(tiny_subject())


def test_scoring_that_does_not_fit_is_refused_with_settings_that_do(
    model: CircuitModel,
) -> None:
    pairs = random_pairs()
    enough = len(pairs) * pairs.n_tokens * bytes_per_token(model)
    check_fits(model, pairs, free=enough)
    with pytest.raises(
        UsageError, match=f"{len(pairs) - 1} pairs of this length at once would fit"
    ):
        check_fits(model, pairs, free=enough - 1)
    with pytest.raises(
        UsageError, match=f"prompts of at most {pairs.n_tokens - 1} tokens would fit"
    ):
        check_fits(model, pairs, free=pairs.n_tokens * bytes_per_token(model) - 1)


def test_scoring_stays_within_the_memory_that_was_predicted(model: CircuitModel) -> None:
    pairs = random_pairs(8)
    free = int(3.5 * pairs.n_tokens * bytes_per_token(model))
    with pytest.raises(UsageError, match="3 pairs of this length at once would fit"):
        check_fits(model, pairs, free=free)
    check_fits(model, pairs.take(range(3)), free=free)


@pytest.mark.parametrize(
    "score",
    [attribute, attribution.attribute_activations, edge_integrated_gradients.attribute_all_edges],
)
def test_methods_ask_before_they_begin(
    score: object, model: CircuitModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 1)
    with pytest.raises(UsageError, match="would fit"):
        score(model, random_pairs())  # pyright: ignore[reportCallIssue]


def test_what_attribution_takes_for_a_further_token_is_what_is_said(model: CircuitModel) -> None:
    few, many = random_pairs(8), random_pairs(24)
    grown = (_most_alive(model, many) - _most_alive(model, few)) / (
        (len(many) - len(few)) * few.n_tokens
    )
    assert 0.4 * bytes_per_token(model) < grown < bytes_per_token(model)


def _most_alive(model: CircuitModel, pairs: PromptPairs) -> int:
    """Bytes of all tensors that were alive at once, as torch's allocator reports them."""
    with torch.profiler.profile(profile_memory=True) as profile:
        attribute(model, pairs, 2)
    assert profile.profiler is not None
    events: Any = profile.profiler.kineto_results
    return max(
        accumulate(event.nbytes() for event in events.events() if event.name() == "[memory]")
    )


def test_free_memory_is_the_smaller_of_machine_and_container(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9 kB\nMemAvailable: 5 kB\n")
    assert free_memory(meminfo, tmp_path) == 5 * 1024
    for name, text in (
        ("max", "4096\n"),
        ("current", "3000\n"),
        ("stat", "anon 2000\ninactive_file 500\n"),
    ):
        (tmp_path / f"memory.{name}").write_text(text)
    assert free_memory(meminfo, tmp_path) == 4096 - 3000 + 500
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(meminfo, tmp_path) == 5 * 1024
    assert free_memory(tmp_path / "none", tmp_path / "none") is None
