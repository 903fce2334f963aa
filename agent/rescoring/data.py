"""Activations, lexicon and subject of a source of explanations, each opened on first use."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...evals.formula_parts import PartPredictions, formula_parts
from ...evals.score import Split
from ...tools.annotation import SpacyAnnotator
from ...tools.dissection import Predicate, TextView
from ...tools.errors import UsageError
from ...tools.index import Collected
from ...tools.subject.address import Unit
from ..runlog.data_files import check_folder, files_in, keep_recorded_files, record_file
from ..runlog.layout import COLLECTED, LEXICON
from ..runlog.lexicon import open_lexicon, predict, stored_lexicon, subject_lexicon
from ..runlog.progress import Reporter
from ..runlog.run_subject import (
    StoredSuite,
    attach_latents,
    index_directions,
    open_recorded_subject,
    weights_of,
)
from .plan import RescoringPlan
from .sources import ExplanationSource
from .transfer import TextParts

if TYPE_CHECKING:
    from ...tools.dissection import Lexicon
    from ...tools.subject import Subject
    from ..runlog.log import RunLog
    from .other_corpus import ReadStored


class ReadyParts(NamedTuple):
    """What a worker of an engine finds, so that it collects nothing and reads no log.

    Attributes:
        other_corpus: the file of activations on the plan's corpus.
        subject: keeps the subject that the given function loads.
    """

    other_corpus: Path | None
    subject: Callable[[Callable[[], Subject]], Subject]


class SourceData:
    """What scoring the explanations of one source reads.

    Args:
        subject: the subject, if the caller has loaded it.
        open_holdout: opens the held-out activations in a folder. Passed in, so that this module
            cannot read them by itself.
        log: of the source's folder; holds the hashes of the activations.
        read_stored: reads activations on another corpus out of an index's store; see `open_holdout`.
        ready: of a worker, where all files are complete and checked.
    """

    def __init__(
        self,
        source: ExplanationSource,
        plan: RescoringPlan,
        reporter: Reporter,
        subject: Subject | None,
        open_holdout: Callable[[Path], Collected],
        log: RunLog,
        read_stored: ReadStored | None = None,
        ready: ReadyParts | None = None,
    ) -> None:
        self.source, self.plan, self.reporter = source, plan, reporter
        self.loaded_subject = subject
        self._open_holdout = open_holdout
        self._log = log
        self._read_stored, self._ready = read_stored, ready
        self._predictions: dict[tuple[str, Split], np.ndarray] = {}

    def files(self) -> tuple[list[str], str]:
        """Make all files that scoring reads.

        Returns:
            Their paths in the source's folder; and of these the one of another corpus, or "".
        """
        folder, other = self._collected.parent, ""  # collects them if they are missing
        if self.plan.corpus:
            path = self._other_corpus.file_of(self.units[0])
            other = path.relative_to(folder).as_posix()
        names = [*files_in(folder, COLLECTED), *([other] if other else [])]
        return names + (files_in(folder, LEXICON) if self.source.is_run else []), other

    def split(self, split: Split) -> Collected:
        """The activations of a split. With `plan.corpus`, select and holdout are that corpus."""
        if split == "explore":
            return self.explore
        if self.plan.corpus:
            return self._other_corpus
        return self._holdout if split == "holdout" else self._select

    def predict_split(self, printed: str | None, split: Split) -> np.ndarray | None:
        """What a predicate predicts on a split, computed once; None without a predicate."""
        if printed is None:
            return None
        key = printed, split
        if key not in self._predictions:
            collected = self.split(split)
            self._predictions[key] = self.predict(printed, collected.tokens, collected.length)
        return self._predictions[key]

    def predict(self, printed: str, tokens: np.ndarray, length: np.ndarray) -> np.ndarray:
        """What a predicate predicts on any tokens."""
        return predict(printed, self.lexicon, tokens, length)

    def parts(self, printed: str | None, split: Split) -> PartPredictions | None:
        """What the named concepts of a predicate predict on a split alone; None without one."""
        if printed is None:
            return None
        collected = self.split(split)
        text = TextView(collected.tokens, collected.length, self.lexicon)
        return formula_parts(Predicate.parse(printed), text)

    @cached_property
    def units(self) -> list[Unit]:
        """The unit of each explanation."""
        return [Unit.parse(e.target) for e in self.source.explanations]

    @cached_property
    def _collected(self) -> Path:
        """The folder of the activations. A run has them; those of a table are collected here."""
        folder = self.source.folder / COLLECTED
        if self._ready is not None:
            return folder
        if self.source.is_run:
            check_folder(self.source.folder, COLLECTED)
            return folder
        keep_recorded_files(self._log, COLLECTED, self.reporter.say)
        if (folder / "holdout.safetensors").exists():
            return folder
        from ...tools.index import Index, collect

        collect(
            self.subject,
            Index.open(Path(self.source.index)),
            list(dict.fromkeys(unit.unsided for unit in self.units)),
            folder,
            max_contexts=self.source.max_contexts,
            progress=self.reporter,
            written=lambda path: record_file(self._log, f"{COLLECTED}/{path.name}"),
            say=self.reporter.say,
        )
        return folder

    @cached_property
    def explore(self) -> Collected:
        return Collected.open(self._collected, "explore")

    @cached_property
    def _select(self) -> Collected:
        return Collected.open(self._collected, "select")

    @cached_property
    def _holdout(self) -> Collected:
        return self._open_holdout(self._collected)

    @cached_property
    def _other_corpus(self) -> Collected:
        """The units' activations on the corpus of the plan."""
        from .other_corpus import OtherCorpus, collect_on_corpus

        if self._ready is not None and self._ready.other_corpus is not None:
            return Collected(self._ready.other_corpus)
        if self.source.planted or self.source.nulls:
            raise UsageError(
                f"{self.source.name} has planted, null or control units, which exist on the run's "
                "own corpus only; score it without --corpus"
            )
        other = OtherCorpus(
            self.plan.corpus,
            (self.explore, self._select),
            self.lexicon.strings,
            self.plan.contexts,
            self.source.seed,
            index=self.plan.corpus_index,
        )
        return collect_on_corpus(
            other,
            self.source.folder,
            self.units,
            lambda: self.subject,
            reporter=self.reporter,
            record=partial(record_file, self._log),
            read_stored=self._read_stored,
        )

    @cached_property
    def text_parts(self) -> TextParts:
        """The other corpus by likeness to explore and by kind."""
        return TextParts(self.explore, self._other_corpus, len(self.lexicon.strings))

    @cached_property
    def lexicon(self) -> Lexicon:
        """The vocabulary that the explanations' predicates look up."""
        if not self.source.is_run:
            return self.subject_lexicon
        read = stored_lexicon if self._ready is None else open_lexicon
        lexicon = read(self.source.folder)
        if self.plan.corpus:  # what was frozen knows the words of the run's own text only
            lexicon.annotator = SpacyAnnotator(lexicon.strings, self.reporter.say)
        return lexicon

    @cached_property
    def subject_lexicon(self) -> Lexicon:
        """The subject's whole vocabulary, with word vectors."""
        return subject_lexicon(lambda: self.subject, weights_of(self.source.subject["revision"]))

    @cached_property
    def subject(self) -> Subject:
        """The subject, checked to be the model that the source was made with."""
        if self.loaded_subject is not None:
            return self.loaded_subject
        return (
            self._load_subject() if self._ready is None else self._ready.subject(self._load_subject)
        )

    def _load_subject(self) -> Subject:
        source, suite = self.source, None
        if source.planted:
            suite = StoredSuite(source.folder, source.corpus, Path(source.index))
        self.reporter.say(f"loading {source.subject['name']}")
        subject = open_recorded_subject(
            source.subject,
            repr(source.name),
            device=self.plan.device,
            dtype=self.plan.dtype,
            suite=suite,
            directions=index_directions(map(str, self.units), Path(source.index)),
            progress=self.reporter.say,
        )
        latents = {unit.name for unit in self.units if unit.site == "sae"}
        attach_latents(subject, Path(source.index), latents)
        return subject
