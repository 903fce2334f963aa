"""The baseline of a watch: each channel's number on texts that were read when all was well.

A sealed JSON file. It says which subject read what, and how, so that a stream that is read in
another way is not taken for drift.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from jaxtyping import Float

from ..errors import CorruptError, UsageError
from ..files.sealed_json import read_sealed, write_sealed


@dataclass(frozen=True)
class WatchSettings:
    """How texts are read; two watches with other settings cannot be compared.

    Attributes:
        channels: names, in order.
        max_tokens: of each text that are read; None means as many as the subject can.
        new_tokens: written after each text and watched; 0 watches the text itself.
    """

    channels: tuple[str, ...]
    max_tokens: int | None = None
    new_tokens: int = 0
    temperature: float = 0.0


@dataclass(frozen=True, eq=False)
class Baseline:
    """What was measured.

    Attributes:
        subject, revision: whose; another revision may be watched, since that is a drift too.
    """

    subject: str
    revision: str
    settings: WatchSettings
    scores: Float[np.ndarray, "text channel"]

    def write(self, path: Path) -> None:
        """Write it; the file is complete or absent."""
        write_sealed(path, {**asdict(self), "scores": self.scores.tolist()})

    @classmethod
    def read(cls, path: Path) -> Self:
        """The inverse.

        Raises:
            UsageError: there is no such file.
            CorruptError: it is not what was written.
        """
        try:
            content = read_sealed(path)
            settings: dict[str, Any] = content["settings"]
            read_as = WatchSettings(**{**settings, "channels": tuple(settings["channels"])})
            scores = np.array(content["scores"], dtype=np.float64)
            return cls(content["subject"], content["revision"], read_as, scores)
        except OSError as error:
            raise UsageError(
                f"baseline {str(path)!r} cannot be read ({error.strerror or error}); make one with "
                "--save-baseline"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptError(
                f"baseline {str(path)!r} is damaged ({error}); make it again with --save-baseline"
            ) from error

    def require(self, settings: WatchSettings) -> None:
        """Raise UsageError unless texts are read now as they were for the baseline."""
        theirs = self.settings
        if theirs == settings:
            return
        differences = [
            f"{name} {then!r} then, {now!r} now"
            for name, then, now in (
                ("tokens of each text", theirs.max_tokens, settings.max_tokens),
                ("new tokens", theirs.new_tokens, settings.new_tokens),
                ("temperature", theirs.temperature, settings.temperature),
            )
            if then != now
        ]
        if theirs.channels != settings.channels:
            odd = sorted(set(theirs.channels) ^ set(settings.channels))
            differences.append(f"other channels ({', '.join(odd[:3]) or 'in another order'})")
        raise UsageError(
            f"the baseline was read in another way: {'; '.join(differences)}; watch the same "
            "targets in the same way, or make another baseline"
        )
