"""Transfer to another corpus by parts, against plain loops."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hubel.agent.cli.main import run_command_line
from hubel.agent.rescoring.other_corpus import OtherCorpus, collect_on_corpus
from hubel.agent.rescoring.transfer import THIRDS, PartScore, TextPart, TextParts, mean_of_parts
from hubel.agent.runlog.lexicon import stored_lexicon
from hubel.agent.runlog.progress import Reporter
from hubel.evals.statistics.sample import Sample
from hubel.tools.corpus import read_corpus
from hubel.tools.errors import UsageError
from hubel.tools.index import Collected, build_index
from hubel.tools.index.holdout import stored_activations
from hubel.tools.subject.address import Unit
from hubel.tools.subject.subject import Subject
from tests.agent.rescoring.conftest import eval_rows
from tests.support.tiny import WORDS

UNITS = [Unit.parse("mlp.1.3"), Unit.parse("head.1.0"), Unit.parse("mlp.0.2-")]
KINDS = ("tales", "notes")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A corpus of two kinds of text, each with its own words."""
    rng = np.random.default_rng(3)
    words = WORDS.split()
    for number, kind in enumerate(KINDS):
        (tmp_path / "corpus" / kind).mkdir(parents=True)
        own = words[number :: len(KINDS)]
        for n in range(12):
            text = " ".join(rng.choice(own, 120))
            (tmp_path / "corpus" / kind / f"{n}.txt").write_text(text)
    return tmp_path / "corpus"


def collect_other(run: Path, folder: Path, tiny: Subject, **options: Any) -> Collected:
    seen = [Collected.open(run / "collected", split) for split in ("explore", "select")]
    vocabulary = stored_lexicon(run).strings
    other = OtherCorpus(str(folder), seen, vocabulary, 40, 0, index=options.pop("index", None))
    return collect_on_corpus(
        other, run, UNITS, lambda: tiny, reporter=Reporter(), record=lambda name: None, **options
    )


def naive_bits(explore: Collected, other: Collected, vocabulary: int) -> dict[int, float]:
    counts: Counter[int] = Counter()
    for ids, n in zip(explore.tokens, explore.length, strict=True):
        counts.update(int(id) for id in ids[1:n])
    total = sum(counts.values()) + vocabulary
    costs: dict[int, list[float]] = {}
    for ids, n, document in zip(other.tokens, other.length, other.document, strict=True):
        for id in ids[1:n]:
            cost = -math.log2((counts[int(id)] + 1) / total)
            costs.setdefault(int(document), []).append(cost)
    return {document: sum(cost) / len(cost) for document, cost in costs.items()}


def test_thirds_and_kinds_are_those_of_a_plain_loop(run: Path, folder: Path, tiny: Subject) -> None:
    other = collect_other(run, folder, tiny)
    explore = Collected.open(run / "collected", "explore")
    vocabulary = len(stored_lexicon(run).strings)
    rng = np.random.default_rng(0)
    sample = Sample(
        rng.normal(size=other.mask.shape), other.signal(UNITS[0]), other.mask, other.document
    )
    scores = TextParts(explore, other, vocabulary).score(sample, seed=0)
    assert [s.part.name for s in scores] == [*THIRDS, *sorted(KINDS)]

    bits = naive_bits(explore, other, vocabulary)
    order = sorted(bits, key=lambda document: (bits[document], document))
    sizes = [len(order) // 3 + (rest < len(order) % 3) for rest in range(3)]
    thirds = [order[sum(sizes[:n]) : sum(sizes[: n + 1])] for n in range(3)]
    for score, documents in zip(scores, thirds, strict=False):
        true, predicted = [], []
        for row, document in enumerate(other.document):
            if document in documents:
                kept = range(1, int(other.length[row]))
                true += [sample.true[row, at] for at in kept]
                predicted += [sample.predicted[row, at] for at in kept]
        assert score.part.documents == len(documents)
        assert score.part.bits == pytest.approx(np.mean([bits[d] for d in documents]))
        assert score.value == pytest.approx(np.corrcoef(true, predicted)[0, 1], abs=1e-9)
        assert score.low is not None
    assert sum(s.part.documents for s in scores[3:]) == len(bits)


def test_a_constant_activation_has_no_r(run: Path, folder: Path, tiny: Subject) -> None:
    other = collect_other(run, folder, tiny)
    explore = Collected.open(run / "collected", "explore")
    constant = np.zeros(other.mask.shape)
    parts = TextParts(explore, other, len(stored_lexicon(run).strings))
    scores = parts.score(Sample(constant, constant, other.mask, other.document), 0)
    assert {score.value for score in scores} == {None}
    assert all(PartScore.from_json(score.to_json()) == score for score in scores)


def test_a_mean_counts_the_targets_that_have_a_value() -> None:
    part = TextPart("kind", "tales", 4, 8.0)
    values = [0.2, None, 0.4]
    (mean,) = mean_of_parts([[PartScore(part, value, None, None)] for value in values])
    assert (mean.targets, mean.mean and round(mean.mean.value, 9)) == (2, 0.3)
    (empty,) = mean_of_parts([[PartScore(part, None, None, None)]])
    assert (empty.targets, empty.mean) == (0, None)


def test_text_that_the_explainer_saw_is_left_out(run: Path, folder: Path, tiny: Subject) -> None:
    explore = Collected.open(run / "collected", "explore")
    strings = stored_lexicon(run).strings
    rows = np.flatnonzero(explore.document == explore.document[0])
    seen = "".join(strings[id] for row in rows for id in explore.tokens[row][: explore.length[row]])
    (folder / "notes" / "seen.txt").write_text(seen)
    documents = read_corpus(str(folder)).documents
    number = [document.id for document in documents].index("notes/seen.txt")
    assert number not in collect_other(run, folder, tiny).document
    for path in folder.rglob("*.txt"):
        path.write_text(seen)
    with pytest.raises(UsageError, match="repeats text that the explainer saw"):
        collect_other(run, folder, tiny)


def test_a_store_gives_what_a_pass_gives(
    run: Path, folder: Path, tiny: Subject, tmp_path: Path
) -> None:
    passed = {str(unit): collect_other(run, folder, tiny).activations(unit) for unit in UNITS}
    for path in (run / "transfer").iterdir():
        path.unlink()
    index = tmp_path / "other-index"
    context_len = Collected.open(run / "collected", "explore").tokens.shape[1]
    build_index(tiny, read_corpus(str(folder)), index, store="all", context_len=context_len)

    def fail(*_args: Any) -> None:
        raise AssertionError("the subject was run")

    handle = tiny.parts.layers[0].whole.register_forward_hook(fail)
    try:
        stored = collect_other(run, folder, tiny, index=index, read_stored=stored_activations)
    finally:
        handle.remove()
    for unit in UNITS:
        np.testing.assert_allclose(
            stored.activations(unit)[:, 1:], passed[str(unit)][:, 1:], atol=5e-3, rtol=5e-3
        )


def test_an_index_of_another_corpus_is_refused(
    run: Path, folder: Path, tiny: Subject, tiny_index: Path
) -> None:
    with pytest.raises(UsageError, match="give an index of that corpus"):
        collect_other(run, folder, tiny, index=tiny_index, read_stored=stored_activations)


def test_eval_reports_transfer_in_rows_and_table(
    run: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], loading: list[str]
) -> None:
    page = tmp_path / "page.html"
    arguments = ["run", "--runs", str(run.parent), "--scorers", "simulation"]
    arguments += ["--corpus", str(folder), "--contexts", "40"]
    rows = eval_rows(capsys, *arguments)
    scored = [row for row in rows if row["scores"]]
    names = {part["name"] for row in scored for part in row["transfer"]}
    assert names == {*THIRDS, *KINDS}
    assert run_command_line(["eval", *arguments, "-q", "--html", str(page)]) == 0
    printed = capsys.readouterr().out
    for name in names:
        assert name in printed
        assert name in page.read_text()


def test_an_index_without_a_corpus_is_refused(run: Path, tiny_index: Path, capsys) -> None:
    arguments = ["eval", "run", "--runs", str(run.parent), "--index", str(tiny_index)]
    assert run_command_line(arguments) == 2
    assert "add --corpus" in capsys.readouterr().err
