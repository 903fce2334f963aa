"""A run that goes out and comes back has the same numbers, and what a format cannot hold is counted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hubel.agent.exchange.config import ImportConfig
from hubel.agent.exchange.export_run import export_run
from hubel.agent.exchange.from_run import set_of_run
from hubel.agent.exchange.import_files import import_files
from hubel.agent.exchange.imported import read_set, write_set
from hubel.agent.exchange.losses import ALL, losses
from hubel.agent.exchange.records import ExplainedUnit, ExplanationSet
from hubel.agent.exchange.registry import READ, WRITTEN, find_format
from hubel.agent.runlog.views import target_rows
from hubel.tools.errors import UsageError

SUFFIXES = {"csv": ".csv", "jsonl": ".jsonl", "parquet": ".parquet"}
BOTH = [name for name in WRITTEN if name in READ]
NUMBERS = ("unit", "sentence", "predicate", "headline", "status", "verdict", "tier", "p")


def there_and_back(folder: Path, format: str, tmp_path: Path) -> ExplanationSet:
    out = tmp_path / f"out{SUFFIXES.get(format, '')}"
    export_run(folder, format, out)
    import_files(out, tmp_path / "runs" / f"back-{format}", format=format)
    return read_set(tmp_path / "runs" / f"back-{format}")


def scores_of(unit: ExplainedUnit) -> dict[str, object]:
    return {f"{s.name}/{s.judge}": (s.value, s.low, s.high, dict(s.floors)) for s in unit.scores}


@pytest.mark.parametrize("format", BOTH)
def test_the_example_comes_back_with_the_same_numbers(
    example: Path, format: str, tmp_path: Path
) -> None:
    before, after = set_of_run(example), there_and_back(example, format, tmp_path)
    assert {u.unit for u in after} == {u.unit for u in before}
    by_unit = {unit.unit: unit for unit in after}
    for unit in before:
        same = by_unit[unit.unit]
        assert [getattr(same, name) for name in NUMBERS] == [
            getattr(unit, name) for name in NUMBERS
        ]
        assert scores_of(same) == scores_of(unit)


def test_a_set_of_a_run_says_what_show_says(example: Path) -> None:
    for unit, row in zip(set_of_run(example), target_rows(example), strict=True):
        assert (unit.unit, unit.sentence, unit.p) == (row["target"], row["explanation"], row["p"])
        assert len(unit.scores) == len(row["scores"])
        values = {(s["scorer"], s["split"], s["text"]): s["value"] for s in row["scores"]}
        assert {(s.scorer, s.split, s.text): s.value for s in unit.scores} == values
        assert {text.role for text in unit.texts} == {"prompt"}


@pytest.mark.parametrize("format", ["delphi", "openai"])
def test_without_the_file_beside_them_sentence_and_r_come_back(
    example: Path, format: str, tmp_path: Path
) -> None:
    export_run(example, format, tmp_path / "out")
    (tmp_path / "out" / "hubel.json").unlink()
    places = {f"layers.{n}.neurons": f"mlp.{n}" for n in (1, 20, 28)}
    import_files(tmp_path / "out", tmp_path / "runs" / "back", units=places)
    before = {unit.unit: unit for unit in set_of_run(example)}
    for unit in read_set(tmp_path / "runs" / "back"):
        score = before[unit.unit].score("simulation", "holdout", "random")
        assert score is not None
        assert (unit.sentence, unit.predicate) == (before[unit.unit].sentence, "")
        assert [s.value for s in unit.scores] == [score.value]
        assert unit.scores[0].split == "unknown"


@pytest.mark.parametrize("format", ["delphi", "openai", "neuronpedia"])
def test_old_numbers_are_not_of_words_that_somebody_changed(
    hostile_set: ExplanationSet, format: str, tmp_path: Path
) -> None:
    write_set(tmp_path / "runs" / "made", hostile_set, ImportConfig("x", "run"))
    out = tmp_path / "out"
    export_run(tmp_path / "runs" / "made", format, out)
    for file in [*out.rglob("*.txt"), *out.rglob("*.jsonl"), *out.rglob("*.gz")]:
        if file.name.startswith("batch"):
            import gzip

            file.write_bytes(
                gzip.compress(
                    gzip.decompress(file.read_bytes()).replace(
                        b'"description": "About head', b'"description": "Mine, head'
                    )
                )
            )
        else:
            file.write_text(file.read_text().replace("About head", "Mine, head"))
    import_files(out, tmp_path / "runs" / "back")
    units = {unit.unit: unit for unit in read_set(tmp_path / "runs" / "back")}
    assert units["head.2.3"].sentence.startswith("Mine")
    assert units["mlp.1.5"].tier == "clear"
    assert (units["head.2.3"].explainer, units["mlp.1.5-"].explainer)[0] in ("", "openai:m")
    assert not units["head.2.3"].predicate


@pytest.mark.parametrize("format", WRITTEN)
def test_a_hostile_set_is_written_and_counted(
    hostile_set: ExplanationSet, format: str, tmp_path: Path
) -> None:
    folder, target = tmp_path / "runs" / "made", find_format(format, to=True)
    write_set(folder, hostile_set, ImportConfig("x", "run"))
    out = tmp_path / f"out{target.suffixes[0] if target.suffixes else ''}"
    exported = export_run(folder, format, out)
    kinds = {line.partition(":")[0] for line in exported.left_out}
    assert {line.partition(":")[0] for line in losses(hostile_set, ())} == ALL
    assert ALL - set(target.holds) <= kinds
    assert out.exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    if format in READ:
        import_files(out, tmp_path / "runs" / "back")
        back = {unit.unit: unit for unit in read_set(tmp_path / "runs" / "back")}
        for unit in hostile_set.explained:
            if unit.unit in back:
                assert back[unit.unit].sentence == " ".join(unit.sentence.split())
                assert scores_of(back[unit.unit]) == scores_of(unit)
        kept = {"csv": 6, "jsonl": 6, "parquet": 6, "openai": 3}.get(format, 4)
        assert len(back) == kept


def test_losses_count_things_and_units(hostile_set: ExplanationSet) -> None:
    lines = losses(hostile_set, ALL - {"texts", "floors", "failures"})
    assert lines == ["failures: 1 of 1 unit", "floors: 6 of 5 units", "texts: 241 of 5 units"]
    assert not losses(replace(hostile_set, units=()), ())


def test_what_is_in_the_way_is_not_overwritten(example: Path, tmp_path: Path) -> None:
    (tmp_path / "there.csv").write_text("mine")
    for out, says in (
        (tmp_path / "there.csv", "is there already"),
        (tmp_path / "x.txt", "add the suffix"),
    ):
        with pytest.raises(UsageError, match=says):
            export_run(example, "csv", out)
    with pytest.raises(UsageError, match="written are delphi"):
        export_run(example, "word", tmp_path / "x.doc")
    with pytest.raises(UsageError, match="read only"):
        export_run(example, "saelens", tmp_path / "x.json")
    assert (tmp_path / "there.csv").read_text() == "mine"


def test_saebench_is_given_detection_and_no_other_score(
    example: Path, hostile_set: ExplanationSet, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="hubel eval example --scorers detection"):
        export_run(example, "saebench", tmp_path / "x.json")
    write_set(tmp_path / "runs" / "made", hostile_set, ImportConfig("x", "run"))
    export_run(tmp_path / "runs" / "made", "saebench", tmp_path / "x.json")
    document = json.loads((tmp_path / "x.json").read_text())
    assert document["eval_result_metrics"]["autointerp"] == {
        "autointerp_score": 0.7,
        "autointerp_std_dev": 0.0,
    }


def test_a_failure_is_an_error_of_inspect_and_never_a_score(
    hostile_set: ExplanationSet, tmp_path: Path
) -> None:
    write_set(tmp_path / "runs" / "made", hostile_set, ImportConfig("x", "run"))
    export_run(tmp_path / "runs" / "made", "inspect", tmp_path / "x.json")
    log = json.loads((tmp_path / "x.json").read_text())
    samples = {sample["id"]: sample for sample in log["samples"]}
    assert samples["mlp.1.6"]["scores"] == {}
    assert samples["mlp.1.6"]["error"]["message"] == "the model refused"
    assert samples["mlp.1.5"]["error"] is None
    means = {score["name"]: score for score in log["results"]["scores"]}
    assert means["simulation/holdout/random"]["scored_samples"] == 5
    assert log["results"]["completed_samples"] == 5


def test_no_character_of_an_explanation_is_obeyed_by_latex(
    hostile_set: ExplanationSet, tmp_path: Path
) -> None:
    write_set(tmp_path / "runs" / "made", hostile_set, ImportConfig("x", "run"))
    export_run(tmp_path / "runs" / "made", "latex", tmp_path / "x.tex")
    text = (tmp_path / "x.tex").read_text()
    rows = text[text.index("midrule") : text.index("bottomrule")].splitlines()[1:-1]
    assert len(rows) == 6
    for row in rows:
        plain = (
            row.replace(r"\&", "")
            .replace(r"\%", "")
            .replace(r"\$", "")
            .replace(r"\#", "")
            .replace(r"\_", "")
        )
        assert plain.count("&") == 5
        assert not set("%#_^~") & set(plain)
        assert plain.replace(r"\{", "").replace(r"\}", "").count("{") == plain.replace(
            r"\{", ""
        ).replace(r"\}", "").count("}")
        assert "\x1b" not in row
        assert row.endswith(r"\\")
    assert r"\texttt{U+4E2D} \texttt{U+0126} ,{},{}" in text
