"""All ways to patch heads, and to integrate gradients, agree on a tiny subject. Some need the extra `oracles`."""

import numpy as np
import pytest

from hubel.bench.other_libraries import PEERS, WAYS
from hubel.bench.speed.attribution import PromptCase, attribution_speed, captum_credit
from hubel.bench.speed.circuits import longer_sweep, random_pairs
from hubel.tools.attribution.integrated import integrated_gradients
from hubel.tools.attribution.target import Logits, make_target
from hubel.tools.subject.address import Unit
from tests.support.tiny import tiny_subject

CASE = PromptCase("the cat sat on the river bank", "the dog sat on the river bank", " red", " blue")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in WAYS if name != "hubel"])
def test_every_way_gives_the_same_effects(name: str) -> None:
    if name in PEERS:
        pytest.importorskip(
            PEERS[name], reason=f"{name} is not installed; pip install hubel[oracles]"
        )
    subject = tiny_subject()
    pairs = random_pairs(subject)
    units = [Unit("head", layer, head) for layer in (0, 2) for head in range(4)]
    own = WAYS["hubel"](subject, pairs)(units)
    np.testing.assert_allclose(WAYS[name](subject, pairs)(units), own, atol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_captum_gives_the_same_credit() -> None:
    pytest.importorskip("captum", reason="captum is not installed; pip install hubel[oracles]")
    subject = tiny_subject()
    ours, *theirs = attribution_speed(subject, CASE)
    assert [row.baseline for row in theirs] == ["counterfactual"] * 2 + ["end of sequence"] * 2
    assert all(row.error >= 0 for row in (ours, *theirs))
    text, twin, answer, foil = (subject.tokenize(each).ids for each in CASE)
    case = make_target(subject, Logits(tuple(answer), tuple(foil)), text, twin)
    credit = integrated_gradients(case, tolerance=1e-3, max_evaluations=2000).scores
    np.testing.assert_allclose(captum_credit(case, 256), credit, atol=0.02 * np.abs(credit).max())


def test_integrated_gradients_know_their_error() -> None:
    (ours, *_) = attribution_speed(tiny_subject(), CASE)
    assert (ours.way, ours.baseline, ours.agrees) == ("hubel", "counterfactual", None)
    assert ours.error < 0.01


def test_a_longer_sweep_is_ten_times_as_long() -> None:
    scaling = longer_sweep(tiny_subject())
    assert scaling.many == 10 * scaling.few
    assert scaling.ratio == pytest.approx(scaling.many_seconds / scaling.few_seconds)
