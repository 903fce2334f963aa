"""`hubel run --subject S --corpus C` makes the index that it needs, once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hubel.agent.cli.main import run_command_line
from hubel.agent.run.default_index import IndexSettings, index_for_run
from hubel.agent.runlog.config import RunConfig
from hubel.agent.runlog.progress import Reporter
from hubel.tools.corpus import corpus_from_documents
from hubel.tools.errors import UsageError
from hubel.tools.index import Index
from hubel.tools.subject import load_subject
from tests.agent.cli.test_index_text import small_subject, texts  # noqa: F401


def run(runs: Path, *options: str) -> int:
    return run_command_line(
        ["run", "--runs", str(runs), "--targets", "mlp.0.0-1", "--json", *options]
    )


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.splitlines()[-1]


def test_the_index_is_made_in_the_cache_and_found_there_again(
    small_subject: str,  # noqa: F811
    texts: Path,  # noqa: F811
    tmp_path: Path,
    capsys,
) -> None:
    text = ["--subject", small_subject, "--corpus", str(texts / "folder"), "--context-len", "16"]
    assert run(tmp_path, *text, "--name", "a") == 0
    output = capsys.readouterr()
    assert [json.loads(line)["target"] for line in output.out.splitlines()] == [
        "mlp.0.0",
        "mlp.0.1",
    ]
    assert "folder once, for an index at " in output.err
    assert "index: " in output.err
    config = RunConfig.load(tmp_path / "a")
    assert Index.open(config.index).context_len == 16
    assert len(Path(config.index).name) < 100

    assert run(tmp_path, *text, "--name", "b") == 0
    assert "once, for an index" not in capsys.readouterr().err
    assert RunConfig.load(tmp_path / "b").index == config.index


def test_the_index_is_made_where_it_is_looked_for(
    small_subject: str,  # noqa: F811
    texts: Path,  # noqa: F811
    tmp_path: Path,
    capsys,
) -> None:
    folder = tmp_path / "idx"
    table = ["--corpus", str(texts / "table.csv"), "--text-column", "body", "--layers", "0"]
    assert run(tmp_path, "--index", str(folder), "--subject", small_subject, *table) == 0
    assert {site.layer for site in Index.open(folder).sites} == {0}
    other = ["--corpus", str(texts / "folder")]
    other += ["--name", "other"]
    assert run(tmp_path, "--index", str(folder), "--subject", small_subject, *other) == 2
    assert "table.csv::body, not over this" in error_of(capsys)


@pytest.mark.parametrize(
    "option", [("--context-len", "16"), ("--corpus-tokens", "9"), ("--layers", "1")]
)
def test_an_option_that_an_existing_index_contradicts_is_refused(
    small_subject: str,  # noqa: F811
    texts: Path,  # noqa: F811
    tmp_path: Path,
    capsys,
    option: tuple[str, str],
) -> None:
    argv = ["--subject", small_subject, "--corpus", str(texts / "folder")]
    index = ["index", *argv, "--layers", "0", "--out", str(tmp_path / "idx")]
    assert run_command_line(index) == 0
    runs = tmp_path / "runs"
    assert run(runs, "--index", str(tmp_path / "idx"), *argv, *option) == 2
    assert f"leave out {option[0]}, or give another --index" in error_of(capsys)
    assert not runs.exists()


def test_the_corpus_is_cut_where_asked_and_a_budget_of_tokens_cuts_nothing(
    small_subject: str,  # noqa: F811
    texts: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    argv = ["--subject", small_subject, "--corpus", str(texts / "folder"), "--layers", "0"]
    read: list[int] = []
    for name, options in (("all", ("--max-tokens", "9")), ("cut", ("--corpus-tokens", "600"))):
        index = tmp_path / name
        assert run(tmp_path / "runs", "--name", name, "--index", str(index), *argv, *options) == 0
        read.append(Index.open(index).tokens)
    assert read[1] <= 600 < read[0]


def test_a_corpus_that_does_not_exist_is_refused_before_a_subject_is_loaded(
    tmp_path: Path, capsys
) -> None:
    assert run(tmp_path, "--subject", "nosuch", "--corpus", "nosuch.jsonl") == 2
    error = capsys.readouterr().err
    assert "nosuch.jsonl" in error
    assert "loading" not in error


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--corpus", "c"], "--corpus given without --subject"),
        (["--subject", "s"], "--subject given without --corpus"),
        (["--index", "i", "--corpus-tokens", "5"], "are about an index to be made"),
        (["--subject", "s", "--corpus", "c", "--context-len", "1"], "--context-len 1"),
        (["--subject", "s", "--corpus", "c", "--corpus-tokens", "0"], "--corpus-tokens 0"),
        (["--subject", "s", "--corpus", "c", "--layers", "x"], "--layers 'x'"),
        (["--subject", "s", "--corpus", "c", "--explainer", "nobody"], "nobody"),
        (["--config", "f", "--subject", "s"], "--config sets everything"),
        ([], "--subject S and --corpus C"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_read(
    options: list[str], says: str, tmp_path: Path, capsys
) -> None:
    argv = ["run", "--runs", str(tmp_path), *options]
    assert (
        run_command_line([*argv, "--targets", "mlp.0.0"] if "--config" not in argv else argv) == 2
    )
    assert says in error_of(capsys)
    assert not list(tmp_path.iterdir())


def test_a_wrong_target_is_refused_before_the_text_is_read(
    small_subject: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    with pytest.raises(UsageError, match=r"mlp\.99\.0"):
        index_for_run(
            load_subject(small_subject),
            corpus_from_documents("empty", []),
            ["mlp.99.0"],
            Reporter(),
            IndexSettings(),
            tmp_path / "idx",
        )
    assert not (tmp_path / "idx").exists()
