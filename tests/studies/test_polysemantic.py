"""The study of kinds of contexts on an index of the tiny subject, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubel.studies import StudyContext, find_study
from hubel.tools.errors import UsageError
from hubel.tools.index import build_index
from hubel.tools.subject.subject import Subject
from tests.support.tiny import tiny_subject
from tests.tools.index.conftest import small_corpus


@pytest.fixture(scope="module")
def small_index(tiny: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("polysemantic") / "index"
    build_index(tiny, small_corpus(), out, context_len=16)
    return out


def test_few_words_say_nothing_and_their_contexts_are_listed(
    tiny: Subject, small_index: Path
) -> None:
    options = {"index": str(small_index), "units": ["mlp.1.3", "mlp.2.5-"], "contexts": 24}
    result = find_study("polysemantic")(StudyContext([tiny]), options)
    assert [claim.verdict for claim in result.claims] == ["cannot say"] * 2
    assert "12 are needed" in result.claims[0].claim
    assert [row["unit"] for row in result.rows] == options["units"]
    assert "[" in str(result.rows[0]["strongest"])


@pytest.mark.parametrize(
    ("units", "message"),
    [
        (["head.1.2"], "head.1.2 is no neuron; give mlp.LAYER.NUMBER"),
        (["mlp.1.3", "mlp.1.3"], "name each once"),
        (["mlp.9.3"], "mlp.9.3"),
        (["police"], "police"),
    ],
)
def test_what_is_no_neuron_is_refused_in_one_line(
    tiny: Subject, small_index: Path, units: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        find_study("polysemantic")(
            StudyContext([tiny]), {"index": str(small_index), "units": units}
        )
    assert "\n" not in str(refused.value)


def test_another_subject_than_the_index_s_is_refused(small_index: Path) -> None:
    other = StudyContext([tiny_subject(seed=5)])
    with pytest.raises(UsageError, match="the index"):
        find_study("polysemantic")(other, {"index": str(small_index), "units": ["mlp.1.3"]})
