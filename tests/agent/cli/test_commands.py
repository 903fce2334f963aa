"""doctor, cache, index and tool as a user types them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from hubel.agent.cli import cache_items, doctor_checks
from hubel.agent.cli.commands.index import parse_layers, parse_sites
from hubel.agent.cli.main import run_command_line
from hubel.tools.errors import UsageError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with a whole subject, a corpus, a lock and a half-written folder."""
    root = tmp_path / "cache"
    subject = root / "subjects" / "small"
    subject.mkdir(parents=True)
    weights = b"w" * 1000
    (subject / "model.safetensors").write_bytes(weights)
    manifest = {"files": {"model.safetensors": [len(weights), hashlib.sha256(weights).hexdigest()]}}
    (subject / "manifest.json").write_text(json.dumps(manifest))
    (root / "corpora").mkdir()
    (root / "corpora" / "news.txt").write_text("news")
    (root / "corpora" / ".news.txt.lock").touch()
    (root / "subjects" / ".small.part-1-abc").mkdir()
    monkeypatch.setenv("HUBEL_CACHE", str(root))
    return root


def rows(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


# --------------------------------------------------------------------- cache


def test_cache_lists_items_with_size_and_state(cache: Path, capsys) -> None:
    assert run_command_line(["cache", "--json"]) == 0
    listed = {row["item"]: row for row in rows(capsys)}
    assert set(listed) == {"corpora/news.txt", "subjects/small"}
    assert listed["corpora/news.txt"]["bytes"] == 4
    assert listed["corpora/news.txt"]["whole"] is None
    assert listed["subjects/small"]["whole"] is True
    assert run_command_line(["cache"]) == 0
    assert "subjects/small" in capsys.readouterr().out
    assert run_command_line(["cache", "path"]) == 0
    assert capsys.readouterr().out == f"{cache}\n"


def test_a_file_cut_short_is_seen_and_a_changed_one_when_asked(cache: Path, capsys) -> None:
    weights = cache / "subjects" / "small" / "model.safetensors"
    weights.write_bytes(b"x" * 1000)
    run_command_line(["cache", "--json"])
    assert rows(capsys)[1]["whole"] is True
    run_command_line(["cache", "--json", "--verify"])
    assert rows(capsys)[1]["whole"] is False
    weights.write_bytes(b"w" * 999)
    run_command_line(["cache", "--json"])
    assert rows(capsys)[1]["whole"] is False
    run_command_line(["doctor", "--json"])
    (line,) = (row for row in rows(capsys) if row["check"] == "subjects/small")
    assert "cut short" in line["detail"]
    assert line["todo"]


def test_clear_asks_on_a_terminal_only_and_otherwise_wants_yes(cache: Path, capsys) -> None:
    assert run_command_line(["cache", "clear"]) == 1
    assert "--yes" in capsys.readouterr().err
    assert len(cache_items.items()) == 2
    assert run_command_line(["cache", "clear", "corpora/news.txt", "--yes"]) == 0
    assert [item.name for item in cache_items.items()] == ["small"]
    assert run_command_line(["cache", "clear", "subjects/smal", "--yes"]) == 2
    assert "did you mean 'subjects/small'?" in capsys.readouterr().err
    assert run_command_line(["cache", "clear", "--yes", "--json"]) == 0
    assert [row["deleted"] for row in rows(capsys)] == [True]
    assert cache_items.items() == []


def test_a_kind_is_cleared_by_its_name_and_shown_by_doctor_in_one_line(cache: Path, capsys) -> None:
    for name in ("first", "second"):
        (cache / "review" / name).mkdir(parents=True)
        (cache / "review" / name / "store.sqlite").write_bytes(b"x" * 500)
    run_command_line(["doctor", "--json"])
    (line,) = (row for row in rows(capsys) if row["check"] == "cached review")
    assert line["detail"] == "2 items, 1.0 kB"
    assert run_command_line(["cache", "clear", "review", "--yes"]) == 0
    assert {item.kind for item in cache_items.items()} == {"corpora", "subjects"}


@pytest.mark.parametrize(("answer", "left"), [("y", 0), ("", 2)])
def test_clear_on_a_terminal_does_what_the_answer_says(
    cache: Path, monkeypatch: pytest.MonkeyPatch, answer: str, left: int
) -> None:
    monkeypatch.setattr("hubel.agent.cli.output.interactive", lambda: True)
    monkeypatch.setattr("builtins.input", lambda: answer)
    assert run_command_line(["cache", "clear"]) == (0 if answer else 1)
    assert len(cache_items.items()) == left


def index_with_store(folder: Path) -> Path:
    for split in ("explore", "select", "holdout"):
        (folder / "store" / split).mkdir(parents=True)
        (folder / "store" / split / "store.json").write_bytes(b"x" * 100)
    (folder / "index.json").write_bytes(b"x" * 50)
    return folder


def test_the_store_of_an_index_is_cleared_alone_or_with_it(cache: Path, capsys) -> None:
    index = index_with_store(cache / "indexes" / "a-b")
    run_command_line(["cache", "--json"])
    sizes = {row["item"]: row["bytes"] for row in rows(capsys)}
    assert (sizes["indexes/a-b"], sizes["stores/a-b"]) == (50, 300)
    assert run_command_line(["cache", "clear", "stores/a-b", "--yes"]) == 0
    assert "1 item deleted, 300 B freed" in capsys.readouterr().out
    assert [path.name for path in index.iterdir()] == ["index.json"]
    index_with_store(cache / "indexes" / "c-d")
    assert run_command_line(["cache", "clear", "indexes/c-d", "--yes"]) == 0
    assert "2 items deleted, 350 B freed" in capsys.readouterr().out
    assert not (cache / "indexes" / "c-d").exists()


def test_the_store_of_an_index_elsewhere_is_named_by_its_path(
    cache: Path, tmp_path: Path, capsys
) -> None:
    index = index_with_store(tmp_path / "mine")
    assert run_command_line(["cache", "list", str(index), "--json"]) == 0
    (row,) = rows(capsys)
    assert (row["bytes"], row["whole"]) == (300, True)
    assert run_command_line(["cache", "clear", str(index), "--yes"]) == 0
    assert [path.name for path in index.iterdir()] == ["index.json"]
    assert run_command_line(["cache", "clear", str(index), "--yes"]) == 2
    assert "holds no activation store" in capsys.readouterr().err


def test_an_empty_cache_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "none"))
    assert run_command_line(["cache"]) == 0
    assert "0 items" in capsys.readouterr().out


# -------------------------------------------------------------------- doctor


def test_doctor_says_what_is_there_and_what_to_do_next(cache: Path, capsys) -> None:
    assert run_command_line(["doctor", "--json"]) == 0
    checks = {row["check"]: row for row in rows(capsys)}
    assert {"python", "packages", "device", "memory", "cache folder", "runs folder", "keys"} <= set(
        checks
    )
    assert all(set(row) == {"check", "status", "detail", "todo"} for row in checks.values())
    assert all(row["todo"] for row in checks.values() if row["status"] != "ok")
    assert run_command_line(["doctor"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("on your own")


def test_doctor_names_keys_and_never_their_values(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    run_command_line(["doctor"])
    shown = capsys.readouterr().out
    assert "OPENAI_API_KEY" in shown
    assert "secret" not in shown


def test_a_package_that_is_missing_or_too_old_fails_and_an_untested_one_is_a_note(
    monkeypatch,
) -> None:
    found = {"torch": "2.13.0+cpu", "numpy": "9.9"}
    monkeypatch.setattr(
        doctor_checks,
        "requires",
        lambda name: ["torch>=2.6", "numpy>=2.0", "gone>=1", "more; extra == 'x'"],
    )
    monkeypatch.setattr(
        doctor_checks, "version", lambda name: found[name] if name in found else _missing(name)
    )
    (missing,) = doctor_checks.packages()
    assert (missing.name, missing.status) == ("gone", "missing")
    found |= {"gone": "0.9"}
    (old,) = doctor_checks.packages()
    assert old.detail == "0.9 installed, >=1 needed"
    found |= {"gone": "1.2"}
    (note,) = doctor_checks.packages()
    assert note.status == "note"
    assert "numpy 9.9 (tested 2." in note.detail
    assert "torch" not in note.detail  # a local build of the tested version is the tested version


def _missing(name: str) -> str:
    raise doctor_checks.PackageNotFoundError(name)


def test_a_folder_that_is_not_there_yet_is_judged_by_its_parent(
    tmp_path: Path, monkeypatch
) -> None:
    assert doctor_checks.disk("runs", tmp_path / "a" / "b").status in ("ok", "note")
    monkeypatch.setattr(doctor_checks.os, "access", lambda path, mode: False)
    check = doctor_checks.disk("runs", tmp_path / "a")
    assert check.status == "missing"
    assert "HUBEL_RUNS" in check.todo


def test_the_tested_versions_cover_everything_that_is_declared() -> None:
    tested = doctor_checks.tested_versions()
    assert {doctor_checks._canonical(name) for name, _ in doctor_checks._requirements()} <= set(
        tested
    )
    assert (
        "+" not in tested["torch"]
    )  # a local label would pin users elsewhere to a build that they cannot get


# --------------------------------------------------------------------- index


def test_sites_and_layers_are_read_before_anything_is_loaded() -> None:
    assert parse_sites("mlp, head,mlp") == ("mlp", "head")
    assert parse_layers("1,10,20-23") == [1, 10, 20, 21, 22, 23]
    assert parse_layers(None) is None


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (["--sites", "sae"], "--dictionary NAME=PATH"),
        (["--dictionary", "res"], "expected NAME=PATH"),
        (["--sites", "mlp", "--dictionary", "res=x"], "give both or neither"),
        (["--sites", "mpl"], "choose from mlp, head, resid"),
        (["--sites", "resid"], "--directions"),
        (["--layers", "1,x"], "numbers and ranges"),
        (["--context-len", "1"], "at least 2"),
        (["--max-tokens", "0"], "at least 1"),
    ],
)
def test_a_wrong_index_command_is_refused_at_once(
    tmp_path: Path, capsys, extra: list[str], says: str
) -> None:
    argv = [
        "index",
        "--subject",
        "nowhere",
        "--corpus",
        "nothing",
        "--out",
        str(tmp_path / "i"),
        *extra,
    ]
    assert run_command_line(argv) == 2
    assert says in capsys.readouterr().err


def test_layers_refuse_what_is_no_number() -> None:
    with pytest.raises(UsageError, match="'5-'"):
        parse_layers("5-")
    with pytest.raises(UsageError, match="'3-1' given"):
        parse_layers("3-1")


# ---------------------------------------------------------------------- tool


def test_tool_lists_instruments_and_their_arguments(capsys) -> None:
    assert run_command_line(["tool"]) == 0
    listed = capsys.readouterr().out
    assert run_command_line(["tool", "--json"]) == 0
    described = {row["name"]: row for row in rows(capsys)}
    assert all(name in listed for name in described)
    assert described["logit_lens"]["schema"]["required"] == ["unit"]
    assert run_command_line(["tool", "ablate", "--help"]) == 0
    assert "zero | mean" in capsys.readouterr().out
    assert run_command_line(["tool", "ablate", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out)["properties"]["texts"]["type"] == "array"


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["logit_lense"], "there are ablate"),
        (["logit_lens", "unit=mlp.1.2"], "name it with --subject"),
        (["logit_lens", "--json", "{"], "is not JSON"),
        (["logit_lens", "--json", "[1]"], "is not an object"),
        (["logit_lens", "mlp.1.2"], "KEY=VALUE"),
    ],
)
def test_a_wrong_tool_command_says_what_to_give(capsys, argv: list[str], says: str) -> None:
    argv = (
        argv if argv[1:] == ["unit=mlp.1.2"] or len(argv) == 1 else [*argv, "--subject", "nowhere"]
    )
    assert run_command_line(["tool", *argv]) == 2
    assert says in capsys.readouterr().err


def test_tool_gives_text_for_people_and_json_for_programs(
    capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hubel.tools.subject as subjects
    from tests.support.tiny import tiny_subject

    monkeypatch.setitem(subjects.__dict__, "load_subject", lambda name, **options: tiny_subject())
    assert run_command_line(["tool", "logit_lens", "unit=mlp.1.3", "k=2", "--subject", "tiny"]) == 0
    assert capsys.readouterr().out.startswith("mlp.1.3 firing promotes")
    call = ["tool", "logit_lens", "--json", '{"unit": "mlp.1.3", "k": 2}', "--subject", "tiny"]
    assert run_command_line(call) == 0
    (answer,) = rows(capsys)
    assert answer["unit"] == "mlp.1.3"
    assert len(answer["promoted"]["tokens"]) == 2
    assert run_command_line([*call, "--text"]) == 0
    assert "suppresses" in capsys.readouterr().out
