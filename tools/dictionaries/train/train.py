"""Trains a dictionary into a folder, measures it, and writes it in the formats of two tools.

    OUT/saelens/                as SAELens loads it
    OUT/sparsify/layers.12/     as sparsify loads it
    OUT/training.json           what was trained on what, and how good it is; written last
    OUT/work/                   only while it is trained

A training that was stopped goes on when the same is asked for again, and a finished one is left as
it is. `read_dictionary` takes the folder OUT. A tool that has no such dictionary (SAELens no TopK
transcoder, sparsify none that reads what the MLP reads) gets no file, and a note says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from ...errors import UsageError
from ...files import locked, writing
from ...index.index import Index
from ...subject.subject import Subject
from ..dictionary import Dictionary
from ..formats import saelens, sparsify
from .checkpoint import TrainingFolder
from .loop import Trained, Training, TrainProgress
from .quality import Quality, measure_quality
from .settings import TrainSettings
from .text import CorpusText, vectors_of


@dataclass(frozen=True)
class MeasureProgress:
    """How far the measuring is."""

    done: int
    total: int
    step: str = "measure"
    unit: str = "contexts"


@dataclass(frozen=True)
class TrainFigures:
    """How good a trained dictionary is, on text that it was not trained on; losses in nats a token.

    Attributes:
        tokens: on which the training's steps were.
        measured_tokens: on which the other figures are.
        l0: mean number of active latents of a token.
        dead: latents that were silent for long at the end of the training.
        silent: share of latents that are active on none of the measured tokens.
        left_out: share of vectors that are ten times longer than the median, and belong to neither.
        recovered_from_mean, recovered_from_zero: share of the loss that reconstructions recover,
            against the mean vector and against zeros; None where these cost nothing.
    """

    tokens: int
    measured_tokens: int
    explained_variance: float
    l0: float
    dead: int
    silent: float
    left_out: float
    loss: float
    loss_reconstructed: float
    loss_mean: float
    loss_zero: float
    recovered_from_mean: float | None
    recovered_from_zero: float | None


@dataclass(frozen=True)
class TrainOutcome:
    """A trained dictionary's folder.

    Attributes:
        forms: the folder of each tool's form, within that of the training.
        notes: why a tool has none, a sentence each.
    """

    figures: TrainFigures
    forms: dict[str, str]
    notes: list[str]

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """From `training.json`."""
        return cls(TrainFigures(**record["figures"]), record["forms"], record["notes"])


def train_dictionary(
    subject: Subject,
    settings: TrainSettings,
    source: CorpusText | Index,
    out: Path,
    *,
    report: Callable[[TrainProgress | MeasureProgress], None] = lambda progress: None,
    checkpoint_every: int | None = None,
) -> TrainOutcome:
    """Train a dictionary into the folder `out`, or finish one that was begun there.

    Args:
        report: called after each step and each batch that is measured.
        checkpoint_every: steps between two checkpoints; by default they take half a percent of
            the time.

    Raises:
        UsageError: settings or text that do not go together, or `out` holds something else.
        UnavailableError: the disk is full or cannot be written to.
    """
    subject.require_decoder("training a dictionary")
    settings.check(len(subject.parts.layers))
    vectors = vectors_of(subject, settings, source)
    task = {
        "subject": subject.name,
        "revision": subject.revision,
        "dtype": str(subject.dtype).removeprefix("torch."),
        **vectors.origin,
        **asdict(settings),
    }
    with writing(out), locked(out):
        folder = TrainingFolder(out)
        if (finished := folder.claim(task)) is not None:
            return TrainOutcome.from_json(finished)
        trained = Training(vectors.explore, folder, report, checkpoint_every).run(out.name)
        vectors.select.limits = vectors.explore.limits
        quality = measure_quality(
            trained.dictionary,
            vectors.select,
            lambda done, total: report(MeasureProgress(done, total)),
        )
        forms, notes = write_forms(trained.dictionary, out, vectors.origin)
        figures = _figures(settings, trained, quality)
        outcome = TrainOutcome(figures, forms, notes)
        folder.finish(asdict(outcome))
    return outcome


def write_forms(
    dictionary: Dictionary, out: Path, origin: Mapping[str, Any]
) -> tuple[dict[str, str], list[str]]:
    """Write a dictionary for each tool that can hold it: the folders, and notes on those that cannot."""
    metadata = {
        "context_size": origin["context_len"],
        "dataset_path": origin["corpus"],
        "prepend_bos": False,
    }
    forms: dict[str, str] = {}
    notes: list[str] = []
    for tool, write in (("saelens", saelens.write), ("sparsify", sparsify.write)):
        try:
            forms[tool] = str(write(dictionary, out / tool, metadata).relative_to(out))
        except UsageError as error:
            notes.append(str(error))
    if not forms:
        raise UsageError("; ".join(notes))
    return forms, notes


def _figures(settings: TrainSettings, trained: Trained, quality: Quality) -> TrainFigures:
    fidelity, loss = quality.fidelity, quality.loss
    return TrainFigures(
        tokens=settings.steps * settings.batch,
        measured_tokens=fidelity.tokens,
        explained_variance=fidelity.explained_variance,
        l0=fidelity.l0,
        dead=trained.dead,
        silent=fidelity.silent,
        left_out=trained.left_out,
        loss=loss.own,
        loss_reconstructed=loss.reconstructed,
        loss_mean=loss.mean,
        loss_zero=loss.zero,
        recovered_from_mean=loss.recovered_from_mean,
        recovered_from_zero=loss.recovered_from_zero,
    )
