"""What a watch tests of each text: a few numbers, the channels, in a fixed order.

    mlp.3.7 mean     mean of the unit's signal over the text's tokens
    mlp.3.7 size     root mean square of it, which also sees a signal that only spreads
    stream.5 length  mean log length of the residual stream after the layer
    surprisal        mean of -log p of each token, nats

A change of weights shows in the stream from its layer on, whether or not a later unit is watched; so
the first layer whose length alarms says where to look. Position 0 is left out everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ..subject.address import Unit


class TextSignals(NamedTuple):
    """What a subject did at each counted token of a text: all but the first, or the new ones.

    Attributes:
        tokens: their text.
        signals: of each unit, on its side.
        lengths: log length of the stream after each layer.
        surprisal: -log p of the token, nats.
    """

    tokens: list[str]
    signals: Float[np.ndarray, "unit token"]
    lengths: Float[np.ndarray, "layer token"]
    surprisal: Float[np.ndarray, " token"]


def channel_names(units: Sequence[Unit], n_layers: int) -> list[str]:
    """The channels of a watch over these units."""
    of_units = [f"{unit} {what}" for unit in units for what in ("mean", "size")]
    return [*of_units, *(f"stream.{layer} length" for layer in range(n_layers)), "surprisal"]


def channel_scores(reading: TextSignals) -> Float[np.ndarray, " channel"]:
    """A text's number in each channel, in the order of `channel_names`."""
    means = reading.signals.mean(axis=1)
    sizes = np.sqrt((reading.signals.astype(np.float64) ** 2).mean(axis=1))
    of_units = np.stack([means, sizes], axis=1).ravel()
    return np.concatenate([of_units, reading.lengths.mean(axis=1), [reading.surprisal.mean()]])
