"""`hubel circuit mediate`, `paths`, `attention` and `abstract`, on models that are known by hand or small."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from hubel.agent.cli.commands import circuit
from hubel.agent.cli.commands.circuit import ACTIONS
from hubel.agent.cli.main import run_command_line
from hubel.agent.cli.parser import build_parser
from tests.support.induction import save_loadable, write_pairs
from tests.support.tiny import tiny_subject

QUESTION = """
text = "on {day} the {animal}"
[inputs]
day = ["Monday", "Tuesday", "Friday"]
animal = ["cat", "dog"]
[heldout]
day = ["Monday", "year"]
[[variables]]
name = "early"
op = "in"
of = ["day"]
members = ["Monday", "Tuesday"]
[[variables]]
name = "word"
op = "table"
of = ["early"]
table = { True = "red", False = "blue" }
[answers]
red = " red"
blue = " blue"
"""


def saved(subject: Any, folder: Path) -> str:
    subject.model.save_pretrained(folder)
    subject.tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def induction(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that name the hand-made subject and its task."""
    folder = tmp_path_factory.mktemp("induction")
    task = write_pairs(folder / "pairs.jsonl")
    return [
        "--subject",
        save_loadable(folder / "subject"),
        "--task",
        str(task),
        "--prompts",
        "8",
        "-q",
    ]


def rows(capsys: pytest.CaptureFixture[str], argv: list[str]) -> list[dict[str, Any]]:
    assert run_command_line(["circuit", *argv, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_all_of_the_effect_goes_through_both_heads_of_an_induction_circuit(
    induction: list[str], capsys
) -> None:
    mediated = rows(capsys, ["mediate", *induction, "--top", "2"])
    assert {row["component"] for row in mediated} == {"head.0.0", "head.1.0"}
    for row in mediated:
        assert row["total"]["value"] < -1
        assert row["indirect"]["value"] == pytest.approx(row["total"]["value"], rel=0.05)
        assert row["prompts"] == 8
    still = rows(capsys, ["mediate", *induction, "--components", "head.0.1,mlp.1.3"])
    assert [row["indirect"]["value"] for row in still] == pytest.approx([0, 0])


def test_the_path_from_head_to_head_ends_at_its_keys(induction: list[str], capsys) -> None:
    by_read = {
        read: rows(
            capsys,
            ["paths", *induction, "--components", "head.0.0", "--receivers", f"head.1.0<{read}>"],
        )[0]
        for read in "qkv"
    }
    assert by_read["k"]["effect"]["value"] < -1
    assert (
        by_read["q"]["effect"]["value"]
        == pytest.approx(0, abs=1e-4)
        == by_read["v"]["effect"]["value"]
    )
    assert by_read["k"]["receivers"] == ["head.1.0<k>"]


def test_the_induction_head_copies_and_its_weight_is_its_effect(
    induction: list[str], capsys
) -> None:
    (row,) = rows(capsys, ["attention", *induction, "--components", "head.1.0"])
    assert row["copying"] > 0.9
    assert row["direct"]["value"] > 1
    assert row["looks_at"]["answer"]["value"] > 0.9
    assert (
        row["rank_correlation"]["low"]
        <= row["rank_correlation"]["value"]
        <= row["rank_correlation"]["high"]
    )
    assert run_command_line(["circuit", "attention", *induction, "--components", "head.1.0"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert f"a rank correlation of {row['rank_correlation']['value']:+.2f} in the mean" in printed


@pytest.mark.parametrize("action", ["mediate", "paths", "attention"])
def test_tables_are_for_people(induction: list[str], capsys, action: str) -> None:
    assert run_command_line(["circuit", action, *induction, "--components", "head.0.0"]) == 0
    printed = capsys.readouterr().out
    assert "head.0.0" in printed
    assert "95 % intervals over 8 discovery prompts" in printed


def test_a_program_is_held_against_a_subject(tmp_path: Path, capsys) -> None:
    (tmp_path / "early.toml").write_text(QUESTION)
    program = [
        "--program",
        str(tmp_path / "early.toml"),
        "--subject",
        saved(tiny_subject(), tmp_path / "subject"),
        "-q",
    ]
    options = [
        "--at",
        "day",
        "--layers",
        "0,2",
        "--pairs",
        "8",
        "--search",
        "1",
        "--search-steps",
        "1",
    ]
    layers = rows(capsys, ["abstract", *program, *options])
    assert [row["layer"] for row in layers] == [0, 2]
    for row in layers:
        assert row["position"] == 1
        controls = [row[name]["iia"]["value"] for name in ("placebo", "random_model", "arbitrary")]
        best = max(*controls, row["no_op"]["value"])
        assert row["real_minus_control"] == pytest.approx(row["found"]["iia"]["value"] - best)
    assert run_command_line(["circuit", "abstract", *program, "--layers", "1", "--pairs", "8"]) == 0
    assert "on 8 held-out pairs" in capsys.readouterr().out


@pytest.mark.slow
def test_several_places_are_a_map_of_layers_and_tokens(tmp_path: Path, capsys) -> None:
    (tmp_path / "early.toml").write_text(QUESTION)
    program = [
        "--program",
        str(tmp_path / "early.toml"),
        "--subject",
        saved(tiny_subject(), tmp_path / "subject"),
        "-q",
    ]
    options = [
        "--at",
        "day,animal,end",
        "--layers",
        "0,2",
        "--pairs",
        "8",
        "--search",
        "1",
        "--search-steps",
        "1",
    ]
    places = rows(capsys, ["abstract", *program, *options])
    expected = list(product((0, 2), ("day", "animal", "end")))
    assert [(row["layer"], row["at"]) for row in places] == expected
    assert run_command_line(["circuit", "abstract", *program, *options]) == 0
    printed = capsys.readouterr().out
    assert "day (token 1)" in printed
    assert "found, and the best control" in " ".join(printed.split())
    best = places[0]["found"]["iia"]["value"] - places[0]["real_minus_control"]
    assert f"{places[0]['found']['iia']['value']:.2f} beside {best:.2f}" in printed
    assert (
        run_command_line(["circuit", "abstract", *program, "--at", "day,night", "--layers", "0"])
        == 2
    )
    assert "'night' given; choose end or a slot of the text: day, animal" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["mediate"], "needs --task"),
        (["paths", "--task", "nothing"], "no task 'nothing'"),
        (["paths", "--task", "ioi", "--receivers", "head.1.0"], "write head.23.3<q>"),
        (["attention", "--task", "ioi", "--components", "sheep"], "'sheep' is not a node"),
        (["attention", "--task", "ioi", "--top", "0"], "at least 1"),
        (["attention", "--task", "ioi", "--prompts", "0"], "--prompts 0: give at least 1"),
        (
            ["attention", "--task", "ioi", "--mlps", "freeze"],
            "--mlps belongs to `hubel circuit paths`",
        ),
        (
            ["run", "--task", "ioi", "--search=3"],
            "--search belongs to `hubel circuit abstract`, not to `hubel circuit run`",
        ),
        (["run", "--taks", "ioi"], "did you mean '--task'?"),
        (["tasks", "ioi"], "unknown argument 'ioi'"),
        (["mediation"], "invalid choice: 'mediation'"),
        ([], "hubel circuit tasks | run | latents | show"),
        (["abstract"], "needs --program"),
        (["abstract", "--program", "nowhere.toml"], "no question at 'nowhere.toml'"),
        (["abstract", "--program", "x.toml", "--pairs", "2"], "--pairs 2: give at least 8"),
    ],
)
def test_wrong_options_are_refused_before_the_subject_is_loaded(
    capsys, argv: list[str], message: str
) -> None:
    assert run_command_line(["circuit", *argv]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{animal}", "{plant}", "text has a slot 'plant'"),
        ('red = " red"', "", "output red has no answer"),
        ('blue = " blue"', 'blue = " red and blue"', "is 3 tokens"),
        ('"Tuesday", "Friday"]', '"Wednesday"]', "values of one length"),
        ("[heldout]\nday", "[heldout]\nnight", "heldout 'night' is not an input"),
        ("[answers]", "[answers", "is not TOML"),
        ("[inputs]", "[other]", "inputs missing"),
    ],
)
def test_errors_in_a_question_file_are_named(
    tmp_path: Path, capsys, old: str, new: str, message: str
) -> None:
    file, folder = tmp_path / "early.toml", tmp_path / "subject"
    file.write_text(QUESTION.replace(old, new))
    argv = [
        "--program",
        str(file),
        "--subject",
        saved(tiny_subject(), folder),
        "--at",
        "day",
        "--layers",
        "0",
        "-q",
    ]
    assert run_command_line(["circuit", "abstract", *argv]) == 2
    assert message in capsys.readouterr().err


def test_each_action_has_a_help_of_its_own(capsys) -> None:
    help_text: dict[str, str] = {}
    for action in ACTIONS:
        with pytest.raises(SystemExit, match="0"):
            run_command_line(["circuit", action, "--help"])
        help_text[action] = capsys.readouterr().out
    assert "--search" in help_text["abstract"]
    assert "--receivers" in help_text["paths"]
    assert not any("--search" in text for action, text in help_text.items() if action != "abstract")
    assert not any("--receivers" in text for action, text in help_text.items() if action != "paths")
    assert all("--json" in text for text in help_text.values())


def test_common_options_stand_before_an_action_or_after_it() -> None:
    parser = build_parser(circuit)
    for argv in (
        ["--json", "--runs", "there", "show", "x"],
        ["show", "x", "--json", "--runs", "there"],
    ):
        args = parser.parse_args(argv)
        assert (args.json, args.runs, args.quiet, args.run) == (True, Path("there"), False, "x")
