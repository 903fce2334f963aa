"""The ways of the peers' bench on a tiny subject: they agree. Two of them need the extra `oracles`."""

import numpy as np
import pytest

from hubel.agent.bench.circuits_speed import random_pairs
from hubel.agent.bench.peers import PEERS, WAYS
from hubel.tools.subject.address import Unit

from ..tiny import tiny_subject


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in WAYS if name != "hubel"])
def test_every_way_gives_the_same_effects(name: str) -> None:
    if name in PEERS:
        pytest.importorskip(PEERS[name], reason=f"{name} is not installed; pip install hubel[oracles]")
    subject = tiny_subject()
    pairs = random_pairs(subject)
    units = [Unit("head", layer, head) for layer in (0, 2) for head in range(4)]
    own = WAYS["hubel"](subject, pairs)(units)
    np.testing.assert_allclose(WAYS[name](subject, pairs)(units), own, atol=1e-4)
