"""A watch: texts come one after another, each is read or continued, and its channels are tested."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..errors import UsageError
from ..instruments.continuation import Sampling
from .baseline import Baseline, WatchSettings
from .channels import TextSignals, channel_scores
from .drift import FALSE_ALARMS, FEWEST_BASELINE, DriftTest
from .reader import UnitReader, WrittenToken


class NamedAlarm(NamedTuple):
    """A channel that has drifted, and in which direction."""

    channel: str
    rises: bool


class Standing(NamedTuple):
    """The state of the test after a text.

    Attributes:
        evidence: of the channel with the most, nats; `channel`: which.
        alarms: those that this text raised.
    """

    evidence: float
    channel: str
    alarms: list[NamedAlarm]


@dataclass
class Watch:
    """The texts of one stream.

    Attributes:
        texts: number of those that were watched; `too_short`: left out, with fewer than two tokens;
        `cut`: longer than the context, of which only the beginning was watched.
    """

    reader: UnitReader
    settings: WatchSettings
    test: DriftTest | None = None
    texts: int = 0
    too_short: int = 0
    cut: int = 0

    def __post_init__(self) -> None:
        self._scores: list[np.ndarray] = []
        self.alarms: list[NamedAlarm] = []

    def against(
        self, baseline: Baseline, false_alarms: float = FALSE_ALARMS, seed: int = 0
    ) -> None:
        """Test the stream against a baseline; raises UsageError if it was read in another way."""
        baseline.require(self.settings)
        self.test = DriftTest(baseline.scores, false_alarms, seed)

    def ids_of(self, text: str) -> list[int] | None:
        """The tokens of a text that are watched, from its beginning; None if there are too few."""
        subject, settings = self.reader.subject, self.settings
        most, fewest = subject.context_length - settings.new_tokens, 1 if settings.new_tokens else 2
        if most < fewest:
            raise UsageError(
                f"{settings.new_tokens} new tokens given; {subject.name} reads at most "
                f"{subject.context_length}: ask for fewer"
            )
        ids = list(subject.tokenize(text).ids)[: settings.max_tokens]
        if len(ids) < fewest:
            self.too_short += 1
            return None
        self.cut += len(ids) > most
        return ids[:most]

    def steps(self, ids: list[int], seed: int = 0) -> Iterator[WrittenToken]:
        """Continue a text; each text adds its number to the seed, so that equal prompts differ."""
        settings = self.settings
        sampling = Sampling(settings.new_tokens, settings.temperature, seed + self.texts)
        return self.reader.write(ids, sampling)

    def take(self, reading: TextSignals) -> Standing | None:
        """Take in what the subject did on a text; None without a baseline."""
        scores = channel_scores(reading)
        self._scores.append(scores)
        self.texts += 1
        if self.test is None:
            return None
        names = self.settings.channels
        alarms = [
            NamedAlarm(names[alarm.channel], alarm.rises) for alarm in self.test.update(scores)
        ]
        self.alarms += alarms
        evidence = self.test.evidence
        most = int(evidence.argmax())
        return Standing(float(evidence[most]), names[most], alarms)

    def baseline(self) -> Baseline:
        """The texts so far as a baseline for later streams; raises UsageError if they are too few."""
        if self.texts < FEWEST_BASELINE:
            raise UsageError(
                f"{self.texts} texts were watched, and a baseline needs at least "
                f"{FEWEST_BASELINE} (200 or more to notice a drift soon): give more texts"
            )
        subject = self.reader.subject
        return Baseline(subject.name, subject.revision, self.settings, np.stack(self._scores))

    def first_layer(self) -> int | None:
        """The first layer whose stream has drifted; None if none has."""
        layers = [
            int(name.split()[0].removeprefix("stream."))
            for name, _ in self.alarms
            if name.startswith("stream.")
        ]
        return min(layers, default=None)
