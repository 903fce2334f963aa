"""The text that explanations are scored on, and what is needed to read it; each opened when it is first needed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...evals.score import Split
from ...tools.errors import UsageError
from ...tools.index import Collected
from ...tools.subject.address import Unit
from ..runlog.layout import COLLECTED
from ..runlog.lexicon import predict, stored_lexicon, subject_lexicon
from ..runlog.progress import Reporter
from ..runlog.run_subject import StoredSuite, open_recorded_subject, weights_of
from .plan import RescoringPlan
from .sources import ExplanationSource

if TYPE_CHECKING:
    from ...tools.dissection import Lexicon
    from ...tools.subject import Subject


class SourceData:
    """Activations of a source's targets on each split, its words, and its subject.

    Args:
        subject: the loaded subject, if there is one.
        open_holdout: the door to held-out activations in a folder; only `evaluate` has it.
    """

    def __init__(
        self,
        source: ExplanationSource,
        plan: RescoringPlan,
        reporter: Reporter,
        subject: Subject | None,
        open_holdout: Callable[[Path], Collected],
    ) -> None:
        self.source, self.plan, self.reporter = source, plan, reporter
        self.loaded_subject = subject
        self._open_holdout = open_holdout
        self._predictions: dict[tuple[str, Split], np.ndarray] = {}

    def split(self, split: Split) -> Collected:
        """The activations of a split; with another corpus, those on it in the place of select and holdout."""
        if split == "explore":
            return self.explore
        if self.plan.corpus:
            return self._transferred
        return self._holdout if split == "holdout" else self._select

    def predict_split(self, printed: str | None, split: Split) -> np.ndarray | None:
        """What a predicate predicts on a split, computed once."""
        if printed is None:
            return None
        if (printed, split) not in self._predictions:
            data = self.split(split)
            self._predictions[printed, split] = self.predict(printed, data.tokens, data.length)
        return self._predictions[printed, split]

    def predict(self, printed: str, tokens: np.ndarray, length: np.ndarray) -> np.ndarray:
        """What a predicate predicts on any tokens."""
        return predict(printed, self.lexicon, tokens, length)

    @cached_property
    def _units(self) -> list[Unit]:
        return [Unit.parse(e.target) for e in self.source.explanations]

    @cached_property
    def _collected(self) -> Path:
        """The folder of the activations; a table's are collected now."""
        folder = self.source.folder / COLLECTED
        if self.source.is_run or (folder / "holdout.safetensors").exists():
            return folder
        from ...tools.index import Index, collect

        index = Index.open(Path(self.source.index))
        collect(
            self.subject,
            index,
            list(dict.fromkeys(u.unsided for u in self._units)),
            folder,
            max_contexts=self.source.max_contexts,
            progress=self.reporter,
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
    def _transferred(self) -> Collected:
        from .other_corpus import collect_on_corpus

        if self.source.planted or self.source.nulls:
            raise UsageError(
                f"{self.source.name} has planted, null or control units, which exist on its corpus only"
            )
        return collect_on_corpus(
            self.plan.corpus,
            self.source.folder,
            self._units,
            self.subject,
            context_len=self.explore.tokens.shape[1],
            max_contexts=self.plan.contexts,
            seed=self.source.seed,
            reporter=self.reporter,
        )

    @cached_property
    def lexicon(self) -> Lexicon:
        if self.source.is_run:
            return stored_lexicon(self.source.folder)
        return self.whole_lexicon

    @cached_property
    def whole_lexicon(self) -> Lexicon:
        return subject_lexicon(lambda: self.subject, weights_of(self.source.subject["revision"]))

    @cached_property
    def subject(self) -> Subject:
        if self.loaded_subject is not None:
            return self.loaded_subject
        source, suite = self.source, None
        if source.planted:
            suite = StoredSuite(source.folder, source.corpus, Path(source.index))
        self.reporter.say(f"loading {source.subject['name']}")
        return open_recorded_subject(
            source.subject,
            repr(source.name),
            device=self.plan.device,
            dtype=self.plan.dtype,
            suite=suite,
        )
