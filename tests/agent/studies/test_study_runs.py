"""A study's run: its folder, resuming, replaying, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from hubel.agent.cli.main import run_command_line
from hubel.agent.run.verify_run import verify_run
from hubel.agent.runlog.layout import MEASURED, STUDY
from hubel.agent.studies.result import read_study
from hubel.agent.studies.run import execute_study_run, make_study_run, replay_study, study_config
from hubel.studies.representation import massive_dimensions
from hubel.tools.errors import CorruptError, UsageError
from hubel.tools.subject.subject import Subject
from tests.tools.subject.model_folder import save_tiny

NAME = "massive-dimensions"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt"
    words = np.random.default_rng(0).choice(["the", "cat", "dog", "said", "Monday"], (10, 80))
    path.write_text("\n\n".join(" ".join(row) for row in words))
    return path


@pytest.fixture
def subject_folder(tmp_path: Path) -> Path:
    """A tiny subject in a folder."""
    return save_tiny(tmp_path / "subject")


@pytest.fixture
def run(tmp_path: Path, corpus: Path) -> Path:
    folder = tmp_path / "runs" / "one"
    make_study_run(folder, study_config(NAME, {"corpus": str(corpus)}, ["tiny"]))
    return folder


def test_a_run_holds_its_result_and_replays_bit_for_bit(run: Path, tiny: Subject) -> None:
    document = execute_study_run(run, subjects={"tiny": tiny})
    assert read_study(run) == document
    assert [claim["study"] for claim in document["claims"]] == [NAME]
    assert next(iter(document["rows"][0])) == "layer"
    assert verify_run(run).holds
    replayed = replay_study(run)
    assert (replayed.mismatches, replayed.bitwise) == ([], True)


def test_a_killed_run_measures_nothing_twice(
    run: Path, tiny: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(massive_dimensions, "conclude", None)
        with pytest.raises(TypeError):  # killed after the measurement
            execute_study_run(run, subjects={"tiny": tiny})
    assert not (run / STUDY).exists()
    monkeypatch.setattr(massive_dimensions, "measure_sizes", None)
    first = execute_study_run(run)
    assert execute_study_run(run) == first


def test_changed_measurements_and_results_are_found(run: Path, tiny: Subject) -> None:
    execute_study_run(run, subjects={"tiny": tiny})
    (measured,) = (run / MEASURED).iterdir()
    whole = measured.read_bytes()
    measured.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(CorruptError, match=r"sizes.npz was changed .* measures it again"):
        replay_study(run)
    assert not verify_run(run).holds
    measured.write_bytes(whole)
    result = json.loads((run / STUDY).read_text())
    result["claims"][0]["verdict"] = "refuted"
    (run / STUDY).write_text(json.dumps(result))
    with pytest.raises(CorruptError, match=r"study.json was changed"):
        read_study(run)


def test_a_run_of_another_name_or_number_of_subjects_is_refused(run: Path, corpus: Path) -> None:
    other = study_config(NAME, {"corpus": str(corpus), "seed": 1}, ["tiny"])
    with pytest.raises(UsageError, match="was started as something else"):
        make_study_run(run, other)
    with pytest.raises(UsageError, match="needs 1 subject, and 2 given"):
        study_config(NAME, {}, ["one", "two"])


def test_weights_that_changed_are_refused(run: Path, tiny: Subject, corpus: Path) -> None:
    from hubel.bench.tiny_subject import miniature

    execute_study_run(run, subjects={"tiny": tiny})
    (run / STUDY).unlink()
    for file in (run / MEASURED).iterdir():
        file.unlink()
    with pytest.raises(UsageError, match="the run"):
        execute_study_run(run, subjects={"tiny": miniature(seed=9)})


def test_commands_list_and_refuse(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run_command_line(["study", "--json"]) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert NAME in {row["study"] for row in listed}
    assert run_command_line(["study", NAME, "--documents", "2", "--runs", str(tmp_path)]) == 2
    assert "documents: Input should be greater than or equal to 8" in capsys.readouterr().err
    assert run_command_line(["study", "nonsense"]) == 2


def test_too_short_a_corpus_says_so_and_leaves_no_run(
    tmp_path: Path, subject_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = tmp_path / "short.txt"
    corpus.write_text("the cat said\n\nthe dog said")
    argv = [
        "study",
        NAME,
        "--subject",
        str(subject_folder),
        "--corpus",
        str(corpus),
        "--name",
        "short",
    ]
    assert run_command_line([*argv, "--runs", str(tmp_path), "-q"]) == 2
    assert "has 0 documents of 64 tokens" in capsys.readouterr().err
    assert not (tmp_path / "short").exists()


def test_an_interrupted_run_says_how_it_goes_on(
    tmp_path: Path, corpus: Path, capsys: pytest.CaptureFixture[str], subject_folder: Path
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    argv = [
        "study",
        NAME,
        "--subject",
        str(subject_folder),
        "--corpus",
        str(corpus),
        "--name",
        "stopped",
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(massive_dimensions, "conclude", interrupt)
        assert run_command_line([*argv, "--runs", str(tmp_path), "-q"]) == 1
    resume = f"hubel resume {tmp_path / 'stopped'}"
    assert resume in capsys.readouterr().err
    assert run_command_line([*resume.split()[1:], "-q"]) == 0
    assert "largest dimension" in capsys.readouterr().out


def test_a_result_that_is_not_finite_is_an_error(run: Path, tiny: Subject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(massive_dimensions, "_ratio", lambda sizes: sizes.max(axis=-1) * np.nan)
        with pytest.raises(UsageError, match="numbers that are not finite"):
            execute_study_run(run, subjects={"tiny": tiny})
    assert not (run / STUDY).exists()


def test_an_option_of_many_other_studies_names_a_few(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["study", NAME, "--data", "x"]) == 2
    message = capsys.readouterr().err
    assert re.search(
        r"--data belongs to `hubel study \S+`, `hubel study \S+` and \d+ others, not to", message
    )
