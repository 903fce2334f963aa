"""Each audit as a run: it replays bit for bit, and after an interruption measures nothing twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hubel.agent.studies.run import execute_study_run, make_study_run, replay_study, study_config
from hubel.studies.audits import measure_causes
from hubel.tools.bias import BiasItem, load, weigh
from hubel.tools.bias.load import LoadedItems
from hubel.tools.subject import Subject

N_ITEMS = 24


def made_items(_subject: Subject, name: str, limit: int, seed: int) -> LoadedItems:
    """Items of random tokens, of the form of a set."""
    rng = np.random.default_rng(limit + seed)
    n_texts = 3 if name in ("stereoset", "bbq") else 2
    part = "intrasentence" if name == "stereoset" else ""

    def item(number: int) -> BiasItem:
        shared = rng.integers(1, 250, 3).tolist()
        texts = [weigh([0, *shared, *rng.integers(1, 250, 3)], [4, 5, 6]) for _ in range(n_texts)]
        return BiasItem(tuple(texts), f"group {number}", ("female", "male")[number % 2], part)

    items = [item(number) for number in range(N_ITEMS)]
    columns: dict[str, Any] = {
        "sentence_group": np.array([each.group for each in items]),
        "sentence_domain": np.array([each.domain for each in items]),
    }
    if name == "bbq":
        columns = {"right": np.arange(N_ITEMS) % 3, "unknown": np.full(N_ITEMS, 2)}
    return LoadedItems({"scores": items, "alone": items, "sentence": items}, columns)


@pytest.fixture
def made_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made items in the place of the sets that a package ships, and few news texts."""
    monkeypatch.setattr(load, "load_items", made_items)
    monkeypatch.setattr(measure_causes, "load_items", made_items)
    for constant in ("MEAN_DOCUMENTS", "LOSS_DOCUMENTS", "TOKENS"):
        monkeypatch.setattr(measure_causes, constant, 10)


AUDITS: list[tuple[str, dict[str, Any]]] = [
    ("stereotypes", {}),
    ("fairness", {"family": "gender"}),
    ("group-representations", {"family": "gender"}),
    ("deception", {}),
]


@pytest.mark.usefixtures("made_sets")
@pytest.mark.parametrize(("name", "options"), AUDITS)
def test_an_audit_resumes_and_replays(
    name: str, options: dict[str, Any], tiny: Subject, tmp_path: Path
) -> None:
    run = tmp_path / name
    make_study_run(run, study_config(name, options, [tiny.name], "cpu"))
    document = execute_study_run(run, subjects={tiny.name: tiny})
    replayed = replay_study(run)
    assert (replayed.mismatches, replayed.bitwise) == ([], True)
    (run / "study.json").unlink()
    assert execute_study_run(run, subjects={}) == document  # a subject would have to be loaded


@pytest.mark.usefixtures("made_sets")
@pytest.mark.parametrize("mitigation", ["units", "erasure"])
def test_an_interrupted_search_for_causes_measures_no_part_twice(
    mitigation: str, tiny: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    run = tmp_path / "causes"
    options = {"mitigation": mitigation, "units": 2, "placebos": 19}
    make_study_run(run, study_config("bias-causes", options, [tiny.name], "cpu"))
    with monkeypatch.context() as patched:
        patched.setattr(measure_causes, "_losses", interrupt)
        with pytest.raises(KeyboardInterrupt):
            execute_study_run(run, subjects={tiny.name: tiny})
    monkeypatch.setattr(measure_causes, "load_items", interrupt)
    document = execute_study_run(run, subjects={tiny.name: tiny})
    assert [claim["n"] for claim in document["claims"]] == [N_ITEMS // 2, N_ITEMS, N_ITEMS, 10]
    assert replay_study(run).bitwise
