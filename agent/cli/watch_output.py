"""What `hubel watch` writes: a line for each step or text, the alarms, and the summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from ...tools.subject.address import Unit
from . import output

if TYPE_CHECKING:
    from ...tools.monitoring.channels import TextSignals
    from ...tools.monitoring.reader import WrittenToken
    from ...tools.monitoring.watch import Standing, Watch

SHOWN_UNITS = 4
"""Units on a terminal's line, those with the strongest signal; `--json` has all."""


@dataclass
class WatchOutput:
    """Writes one watch, for people or programs.

    Attributes:
        explanations: of each unit that a run has explained, by address.
        step_ms: milliseconds of each step of a generation; `plain_ms`: without a hook.
    """

    watch: Watch
    units: Sequence[Unit]
    explanations: dict[str, str]
    as_json: bool
    step_ms: list[float] = field(default_factory=list[float])
    plain_ms: list[float] = field(default_factory=list[float])

    def begin(self) -> None:
        """For people: what is watched, and what is known of it."""
        if self.as_json:
            return
        test = self.watch.test
        against = "no baseline, so nothing can alarm"
        if test is not None:
            against = f"an alarm needs {test.threshold:.1f} nats of evidence in one channel"
        units = output.count(len(self.units), "unit")
        output.line(f"watching {units} of {self.watch.reader.subject.name}; {against}")
        for unit, explanation in self.explanations.items():
            output.line(f"  {unit}: {explanation}")

    def step(self, number: int, step: WrittenToken) -> None:
        """A token that the subject wrote."""
        ms = 1000 * step.seconds
        self.step_ms.append(ms)
        signals = {str(unit): _rounded(s) for unit, s in zip(self.units, step.signals, strict=True)}
        if not self.as_json:
            output.line(f"    {step.token!r:<16} {_strongest(signals)}  {ms:.0f} ms")
            return
        self._json(
            kind="step",
            text=self.watch.texts + 1,
            step=number,
            token=step.token,
            activations=signals,
            surprisal=_rounded(step.surprisal),
            ms=_rounded(ms),
        )

    def text(self, reading: TextSignals, standing: Standing | None) -> None:
        """A text that was watched, and the alarms that it raised."""
        peaks = [max(signals, key=abs) for signals in reading.signals.tolist()]
        strongest = {str(unit): _rounded(p) for unit, p in zip(self.units, peaks, strict=True)}
        alarms = standing.alarms if standing else []
        if self.as_json:
            self._json(
                kind="text",
                text=self.watch.texts,
                tokens=len(reading.tokens),
                strongest=strongest,
                surprisal=_rounded(reading.surprisal.mean()),
                evidence=_rounded(standing.evidence) if standing else None,
                channel=standing.channel if standing else None,
                alarms=[alarm._asdict() for alarm in alarms],
            )
            return
        line = f"{self.watch.texts:>5}  {len(reading.tokens):>4} tokens  {_strongest(strongest)}"
        if standing:
            line += f"  evidence {standing.evidence:+.1f}"
        output.line(line)
        for channel, rises in alarms:
            output.line(f"ALARM at text {self.watch.texts}: {channel} {_direction(rises)}")

    def end(self) -> None:
        """The summary."""
        if self.as_json:
            output.json_line({"summary": self._summary()})
            return
        watch = self.watch
        parts = [f"{output.count(watch.texts, 'text')} watched"]
        if watch.too_short:
            parts.append(f"{watch.too_short} left out with too few tokens")
        if watch.cut:
            parts.append(f"{watch.cut} cut to the context")
        if watch.test is not None:
            parts.append(f"{output.count(len(watch.alarms), 'channel')} in alarm")
        if (layer := watch.first_layer()) is not None:
            parts.append(f"the first stream that drifted is that of layer {layer}")
        output.line("; ".join(parts))
        if self.step_ms:
            output.line(f"a step takes {median(self.step_ms):.1f} ms{self._overhead()}")

    def _overhead(self) -> str:
        if not self.plain_ms:
            return ""
        plain, watched = median(self.plain_ms), median(self.step_ms)
        return (
            f", and {plain:.1f} ms when nothing is watched: {watched / plain:.3f} times as long, "
            f"{watched - plain:+.1f} ms"
        )

    def _summary(self) -> dict[str, Any]:
        watch = self.watch
        return {
            "texts": watch.texts,
            "too_short": watch.too_short,
            "cut": watch.cut,
            "alarms": [alarm._asdict() for alarm in watch.alarms],
            "first_layer": watch.first_layer(),
            "threshold": _rounded(watch.test.threshold) if watch.test else None,
            "explanations": self.explanations,
            "ms_per_step": _rounded(median(self.step_ms)) if self.step_ms else None,
            "plain_ms_per_step": _rounded(median(self.plain_ms)) if self.plain_ms else None,
        }

    def _json(self, **values: object) -> None:
        output.json_line(values)


def _direction(rises: bool) -> str:
    return "has risen" if rises else "has fallen"


def _strongest(signals: dict[str, float]) -> str:
    ranked = sorted(signals.items(), key=lambda pair: -abs(pair[1]))
    return "  ".join(f"{unit} {value:+.2f}" for unit, value in ranked[:SHOWN_UNITS])


def _rounded(value: Any) -> float:
    return round(float(value), 4)
