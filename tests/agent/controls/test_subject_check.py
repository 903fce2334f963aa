"""A run says at its top when its subject knows nothing of the text; a subject that knows it gets no warning."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hubel.agent.controls.subject_check import (
    _computed_losses,
    _frequency_losses,
    _stored_losses,
    check_subject,
)
from hubel.agent.review.report import write_report
from hubel.agent.runlog.log import RunLog
from hubel.agent.runlog.subject_warning import EVENT, warning_of
from hubel.agent.runlog.views import target_rows
from hubel.tools.corpus import corpus_from_documents
from hubel.tools.corpus.document import Document
from hubel.tools.index import Index, build_index
from hubel.tools.subject.subject import Subject
from tests.support.tiny import tiny_subject

WORDS = ["the", "cat", "saw", "a", "dog", "and", "it", "ran", "to", "him"]
"""Always in this order, so that a subject which knows the order knows every next word."""


@pytest.fixture(scope="module")
def ordered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index, with a store, of documents in which each word decides the next one."""
    documents = [
        Document(f"d{number}", " ".join((WORDS[number % 10 :] + WORDS) * 4)) for number in range(60)
    ]
    out = tmp_path_factory.mktemp("index") / "ordered"
    corpus = corpus_from_documents("ordered", documents, "1" * 64)
    build_index(tiny_subject(), corpus, out, store="all")
    return out


@pytest.fixture(scope="module")
def trained(ordered: Path) -> Subject:
    """A tiny subject that has learned the order of the words."""
    subject = tiny_subject()
    contexts = Index.open(ordered).contexts("explore")
    ids = torch.from_numpy(contexts.tokens[contexts.length == contexts.length.max()]).long()[:16]
    with torch.inference_mode(False), torch.enable_grad():
        model = subject.model.requires_grad_(True)
        optimizer = torch.optim.Adam(model.parameters(), 0.02)
        for _ in range(60):
            optimizer.zero_grad()
            model(input_ids=ids.clone(), labels=ids.clone()).loss.backward()
            optimizer.step()
        model.requires_grad_(False)
    return subject


def test_a_random_subject_is_no_better_than_frequencies_and_a_trained_one_is(
    ordered: Path, trained: Subject
) -> None:
    index = Index.open(ordered)
    random = check_subject(tiny_subject(), index)
    assert random is not None
    assert random.loss > random.frequencies
    select = index.contexts("select")
    losses = _computed_losses(trained, select)
    by_frequency = _frequency_losses(index.contexts("explore"), select, trained.n_vocabulary)
    learned = {"loss": np.nanmean(losses), "frequencies": by_frequency.mean()}
    assert learned["loss"] < learned["frequencies"]
    assert warning_of(learned, "s", "c") is None


def test_stored_losses_are_those_of_a_pass(ordered: Path) -> None:
    index, subject = Index.open(ordered), tiny_subject()
    select = index.contexts("select")
    stored = _stored_losses(subject, index, select)
    computed = _computed_losses(subject, select)
    assert stored is not None
    chosen = np.isfinite(computed)
    assert chosen.any()
    assert stored[chosen] == pytest.approx(computed[chosen], abs=1e-4)


def test_frequencies_are_those_of_witten_and_bell(ordered: Path) -> None:
    index = Index.open(ordered)
    explore, select = index.contexts("explore"), index.contexts("select")
    counts: dict[int, int] = {}
    for row, length in zip(explore.tokens.tolist(), explore.length.tolist(), strict=True):
        for token in row[:length]:
            counts[token] = counts.get(token, 0) + 1
    types, total = len(counts), sum(counts.values())
    losses = _frequency_losses(explore, select, 400)
    for token, loss in zip(select.tokens[0].tolist(), losses[0].tolist(), strict=True):
        new = types / (total + types) / 400
        assert loss == pytest.approx(-np.log(counts.get(token, 0) / (total + types) + new))


def test_a_run_of_a_random_subject_says_so_everywhere(finished: Path, tmp_path: Path) -> None:
    event = RunLog(finished, writable=False).get(EVENT)
    assert event is not None
    warning = target_rows(finished)[0]["subject_warning"]
    assert warning is not None
    assert warning.startswith("a subject with redrawn weights would do as well: ")
    assert f"loss {event['loss']:.2f} against {event['frequencies']:.2f}" in warning
    page = write_report(finished, tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"Warning: {warning}." in page or json.dumps(warning)[1:-1] in page


@pytest.mark.parametrize("event", [None, {}, {"loss": 3.0, "frequencies": 7.0}, {"loss": 3.0}])
def test_without_a_comparison_or_with_a_lower_loss_there_is_no_warning(
    event: dict[str, float] | None,
) -> None:
    assert warning_of(event, "s", "c") is None
