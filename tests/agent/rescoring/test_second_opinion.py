"""A second opinion on a hand-made set: leaks are named, truths kept, nonsense rejected."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from hubel.agent.cli.main import run_command_line
from hubel.agent.exchange.config import ImportConfig
from hubel.agent.exchange.delphi_cache import write_cache
from hubel.agent.exchange.imported import write_set
from hubel.agent.exchange.records import (
    ExplainedUnit,
    ExplanationSet,
    SaidTurn,
    SeenText,
    SetOrigin,
)
from hubel.agent.rescoring.leaks import HeldoutWords, find_leaks
from hubel.agent.rescoring.second_opinion import deal
from hubel.agent.runlog.layout import COLLECTED
from hubel.agent.runlog.lexicon import stored_lexicon
from hubel.agent.runlog.views import target_rows
from hubel.bench.loopback import Loopback
from hubel.bench.loopback.demo_model import DemoModel
from hubel.tools.index import Collected
from hubel.tools.index.holdout import open_collected_holdout
from tests.agent.rescoring.conftest import eval_rows

NONSENSE = [f"mlp.{layer}.{neuron}" for layer in (0, 1, 2) for neuron in range(12, 20)]
"""Units that get the formula of another unit."""
WORDS_ONLY = "mlp.1.1"


class World(NamedTuple):
    """A set on disk, what was planted in it, and where it is scored."""

    runs: Path
    text: Path
    """The index on whose holdout it is scored."""
    truths: list[str]
    leaking: dict[str, list[int]]
    """Unit to the rows of the holdout that its prompt has."""


@pytest.fixture(scope="module")
def world(explained_run: Path, tiny_index: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    rows = {row["target"]: row for row in target_rows(explained_run)}
    truths = [target for target, row in rows.items() if row["verdict"] == "kept"]
    assert len(truths) >= 2, "the run of the fixture keeps too few to plant truths"
    holdout = open_collected_holdout(explained_run / COLLECTED)
    strings = stored_lexicon(explained_run).strings

    def seen(row: int, role: Any) -> SeenText:
        """A window of a test context, cut in the middle, as another tool would."""
        ids = holdout.tokens[row, 3 : min(30, int(holdout.length[row]))]
        return SeenText(tuple(strings[int(token)] for token in ids), role=role)

    whole = [int(row) for row in np.flatnonzero(holdout.length >= 40)]
    leaking = {truths[0]: whole[:6:2], NONSENSE[0]: whole[1:2]}
    units = [
        ExplainedUnit(
            target,
            f"layers.{target}",
            str(rows[target]["explanation"]),
            str(rows[target]["predicate"]),
            texts=tuple(seen(row, "prompt") for row in leaking.get(target, [])),
        )
        for target in truths
    ]
    for number, target in enumerate(NONSENSE):
        wrong = rows[truths[number % len(truths)]]
        texts = tuple(seen(row, "shown") for row in leaking.get(target, []))
        texts += (SeenText(("no", " such", " words", " stand", " in", " the", " text")),)
        units.append(
            ExplainedUnit(
                target, "", str(wrong["explanation"]), str(wrong["predicate"]), texts=texts
            )
        )
    units.append(ExplainedUnit(WORDS_ONLY, "", "something about animals"))
    units.append(ExplainedUnit("mlp.1.2", status="failed", error="refused"))
    runs = tmp_path_factory.mktemp("imported")
    explanations = ExplanationSet("theirs", SetOrigin("delphi"), tuple(units), ("a holdout",))
    write_set(runs / "theirs", explanations, ImportConfig("somewhere", "delphi"))
    return World(runs, tiny_index, truths, leaking)


def options(world: World) -> list[str]:
    return ["theirs", "--index", str(world.text), "--runs", str(world.runs)]


def test_leaks_are_named_truths_kept_and_nonsense_rejected(
    world: World, capsys: pytest.CaptureFixture[str], loading
) -> None:
    *rows, last = eval_rows(capsys, *options(world), "--scorers", "simulation")
    by_target = {row["target"]: row for row in rows}
    leaks = {
        target: row["leaks"]["in_prompt"] + row["leaks"]["among_shown"]
        for target, row in by_target.items()
        if row["leaks"]["in_prompt"] or row["leaks"]["among_shown"]
    }
    assert leaks == {target: len(contexts) for target, contexts in world.leaking.items()}
    assert by_target[world.truths[0]]["leaks"]["in_prompt"] == 3
    assert by_target[NONSENSE[0]]["leaks"]["among_shown"] == 1
    assert {by_target[target]["verdict"] for target in world.truths} == {"kept"}
    assert "kept" not in {by_target[target]["verdict"] for target in NONSENSE}
    assert by_target[WORDS_ONLY]["verdict"] == "inconclusive"
    summary = last["summary"]
    assert (summary["survive"], summary["of"]) == (len(world.truths), len(rows))
    assert (summary["leaking"], summary["leaked_contexts"]) == (2, 4)
    assert sum(layer["of"] for layer in summary["by_layer"].values()) == len(rows)
    assert summary["null"]["survive"] <= 0.05 * summary["null"]["of"]
    assert set(summary["worst"]) <= set(NONSENSE)


def test_the_table_says_it_in_words_and_ends_with_how_many_survive(
    world: World, capsys: pytest.CaptureFixture[str], loading
) -> None:
    assert run_command_line(["eval", *options(world), "--scorers", "simulation", "-q"]) == 0
    lines = capsys.readouterr().out.splitlines()
    total = len(world.truths) + len(NONSENSE) + 1
    assert lines[0].startswith(f"1 of {total} explanations are words that no formula represents")
    assert lines[-1] == f"{len(world.truths)} of {total} survive"
    assert "  missing from its files: a holdout" in lines
    assert any("test contexts that 2 explanations had seen" in line for line in lines)


def test_contexts_that_leaked_are_left_out_of_the_score(
    world: World, capsys: pytest.CaptureFixture[str], loading, explained_run: Path
) -> None:
    """The same predicate, scored by the run that made it on all contexts."""
    *rows, _ = eval_rows(capsys, *options(world), "--scorers", "simulation")
    own = {row["target"]: row for row in target_rows(explained_run)}
    for row in rows:
        if row["target"] not in world.truths:
            continue
        values = [
            next(s["value"] for s in r["scores"] if _is_main(s)) for r in (row, own[row["target"]])
        ]
        assert (values[0] == values[1]) == (row["target"] not in world.leaking)


def _is_main(score: Any) -> bool:
    return (score["scorer"], score["split"], score["text"]) == ("simulation", "holdout", "random")


def test_words_are_judged_where_somebody_reads_them(
    world: World, capsys: pytest.CaptureFixture[str], loading
) -> None:
    judge = ["--scorers", "simulation,detection", "--judge", "constant:no"]
    *rows, _ = eval_rows(capsys, *options(world), *judge)
    row = next(row for row in rows if row["target"] == WORDS_ONLY)
    assert row["verdict"] != "kept"
    assert any(score["scorer"] == "detection" for score in row["scores"])


def test_all_explanations_of_a_unit_are_scored_and_words_are_simulated(
    explained_run: Path, tiny_index: Path, tmp_path: Path, capsys: Any, loading: Any
) -> None:
    """Words are read by a model behind a server on loopback; it grades the words in quotes."""
    rows = {row["target"]: row for row in target_rows(explained_run) if row["verdict"] == "kept"}
    (first, true), (second, other) = list(rows.items())[:2]
    said = {unit: f"Fires on {_quoted(row)}." for unit, row in ((first, true), (second, other))}
    units = (
        ExplainedUnit(first, "a", str(other["explanation"]), str(other["predicate"])),
        ExplainedUnit(first, "b", str(true["explanation"]), str(true["predicate"])),
        ExplainedUnit(first, "c", str(true["explanation"]), str(true["predicate"])),  # again
        ExplainedUnit(second, "d", said[second]),
        ExplainedUnit(second, "e", said[first]),
    )
    write_set(
        tmp_path / "several",
        ExplanationSet("several", SetOrigin("openai"), units),
        ImportConfig("x", "openai"),
    )
    options = ["several", "--index", str(tiny_index), "--runs", str(tmp_path)]
    with Loopback(DemoModel()) as server:
        read_by = ["--simulator", "openai:beginner", "--simulator-base-url", server.url("openai")]
        scorers = ["--scorers", "simulation,llm_simulation"]
        *scored, last = eval_rows(capsys, *options, *read_by, *scorers)
        asked = len(server.bodies)
        assert eval_rows(capsys, *options, *read_by, *scorers)[-1] == last
        assert len(server.bodies) == asked + 1, "only the connection is tested again"
    verdicts = {(row["target"], row["explanation"]): row["verdict"] for row in scored}
    assert len(verdicts) == len(scored) == 4
    assert verdicts[first, true["explanation"]] == "kept"
    assert verdicts[first, other["explanation"]] == "rejected"
    # 30 contexts leave wide intervals: what is true need not be kept, but is not rejected
    assert verdicts[second, said[second]] != "rejected"
    assert verdicts[second, said[first]] != "kept"
    summary, kept = last["summary"], list(verdicts.values()).count("kept")
    assert summary["units"] == {"survive": kept, "of": 2}
    assert summary["best"] == {first: true["gist"] or true["explanation"], second: said[second]}
    assert (summary["survive"], summary["of"], summary["null"]["of"]) == (kept, 4, 0)
    simulated = [row for row in scored if row["target"] == second]
    assert all({s["scorer"] for s in row["scores"]} == {"llm_simulation"} for row in simulated)


def _quoted(row: Any) -> str:
    """The words of a formula, in quotes."""
    words = re.findall(r'"([^"]+)"', str(row["predicate"]))
    assert words, row["predicate"]
    return ", ".join(f'"{word}"' for word in words)


def test_a_set_needs_an_index(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["eval", "theirs", "--runs", str(world.runs), "-q"]) == 2
    assert "is an imported set: say with --index I" in capsys.readouterr().err


def test_a_hand_made_delphi_run(
    world: World,
    explained_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    loading,
) -> None:
    """From delphi's own files: the windows of its prompts follow from the cache of latents."""
    rows = {row["target"]: row for row in target_rows(explained_run)}
    holdout = open_collected_holdout(explained_run / COLLECTED)
    explore = Collected.open(explained_run / COLLECTED, "explore")
    whole = [np.flatnonzero(part.length >= 32)[:3] for part in (explore, holdout)]
    tokens = np.concatenate([explore.tokens[whole[0], :32], holdout.tokens[whole[1], :32]])
    leaking, nonsense = world.truths[0], "mlp.0.20"
    signals: dict[int, np.ndarray] = {}
    (tmp_path / "theirs" / "explanations").mkdir(parents=True)
    for target in (*world.truths, nonsense):
        number = int(target.split(".")[2])
        signals[number] = np.zeros(tokens.shape, np.float32)
        seen = slice(3, 6) if target == leaking else slice(0, 3)  # held-out text, or explore
        signals[number][seen, 10] = (3.0, 2.0, 1.0)
        words = rows[target if target in rows else world.truths[0]]["predicate"]
        file = tmp_path / "theirs" / "explanations" / f"layers.0.mlp_latent{number}.txt"
        file.write_text(json.dumps(words))
    about = {"model_name": "tiny", "dataset_repo": "made"}
    write_cache(tmp_path / "theirs" / "latents" / "layers.0.mlp", signals, tokens, about)
    sampler = {"n_examples_train": 3, "train_type": "top"}
    config = {"sampler_cfg": sampler, "constructor_cfg": {"example_ctx_len": 32}}
    (tmp_path / "theirs" / "run_config.json").write_text(json.dumps(config))
    index = ["--index", str(world.text), "--runs", str(tmp_path / "runs"), "-q"]
    argv = ["import", str(tmp_path / "theirs"), "--name", "theirs", "--as", "layers.0.mlp=mlp.0"]
    assert run_command_line([*argv, *index]) == 0
    *evaluated, last = eval_rows(capsys, "theirs", *index[:-1], "--scorers", "simulation")
    leaks = {row["target"]: row["leaks"]["in_prompt"] for row in evaluated}
    assert leaks == {target: 3 * (target == leaking) for target in (*world.truths, nonsense)}
    verdicts = {row["target"]: row["verdict"] for row in evaluated}
    assert {verdicts[target] for target in world.truths} == {"kept"}
    assert verdicts[nonsense] == "rejected"
    assert (last["summary"]["survive"], last["summary"]["of"]) == (2, 3)


# matching


def heldout(*texts: str) -> HeldoutWords:
    vocabulary = sorted({f" {word}" for text in texts for word in text.split()})
    width = max(len(text.split()) for text in texts)
    tokens = np.zeros((len(texts), width), dtype=np.int64)
    for row, text in enumerate(texts):
        ids = [vocabulary.index(f" {word}") for word in text.split()]
        tokens[row, : len(ids)] = ids
    return HeldoutWords(tokens, np.array([len(text.split()) for text in texts]), vocabulary)


TEXT = "one two three four five six seven eight nine ten"


def unit(*texts: SeenText, **more: Any) -> ExplainedUnit:
    return ExplainedUnit("mlp.0.0", sentence="s", texts=texts, **more)


def said(text: str, role: Any = "prompt") -> SeenText:
    return SeenText((text,), role=role)


@pytest.mark.parametrize(
    ("shown", "leaks"),
    [
        (said("Two three, four FIVE six seven eight nine!"), ((0,), ())),
        (said("▁two▁three▁four▁five▁six▁seven▁eight▁nine"), ((0,), ())),
        (said("twoĠthreeĠfourĠfiveĠsixĠsevenĠeightĠnine"), ((0,), ())),
        (said("two three four five six seven eight nine", "shown"), ((), (0,))),
        (said("two three four five six seven eight nine", "scored"), ((), ())),
        (said("two three four five six seven eight other words"), ((), ())),  # seven in a row
        (said("three four five six seven"), ((0,), ())),  # a short exemplar, whole
        (said("three four five six"), ((), ())),  # too short
    ],
)
def test_a_leak_is_a_run_of_eight_words(
    shown: SeenText, leaks: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    found = find_leaks(
        unit(shown), heldout(TEXT, "quite another text of more than eight words in all")
    )
    assert (found.in_prompt, found.among_shown) == leaks


def test_what_was_said_to_the_explainer_is_a_prompt() -> None:
    turns = (SaidTurn("user", f"Text 1: {TEXT}"), SaidTurn("assistant", TEXT))
    assert find_leaks(unit(conversation=turns), heldout(TEXT)).in_prompt == (0,)
    assert not find_leaks(unit(conversation=turns[1:]), heldout(TEXT)).contexts


def test_a_text_that_is_too_short_is_counted() -> None:
    leaks = find_leaks(unit(said("three four five six"), said(TEXT)), heldout(TEXT))
    assert (leaks.texts, leaks.too_short) == (2, 1)


@pytest.mark.parametrize("seed", range(5))
def test_dealing_gives_everyone_somebody_elses_of_the_same_layer(seed: int) -> None:
    targets = [
        f"mlp.{layer}.{neuron}" for layer, n in ((0, 5), (1, 2), (2, 1)) for neuron in range(n)
    ]
    dealt = deal(targets, seed)
    assert set(dealt) == set(targets[:7]), "the only unit of its layer gets none"
    assert sorted(dealt.values()) == sorted(dealt)
    assert all(a != b and a.split(".")[1] == b.split(".")[1] for a, b in dealt.items())
