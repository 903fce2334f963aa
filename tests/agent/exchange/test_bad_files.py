"""Files that are cut short, hostile or about something else: one line that says where, and nothing is kept."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from hubel.agent.exchange.import_files import import_files
from hubel.agent.exchange.imported import read_set
from hubel.tools.errors import HubelError, UsageError

from .conftest import write_json

JUDGED = [
    {
        "str_tokens": ["a", f"b{n}"],
        "activations": [0.0, 1.0],
        "distance": 1 if n % 2 else -1,
        "activating": bool(n % 2),
        "prediction": n in (1, 2, 3),
        "probability": n / 10,
        "correct": True,
    }
    for n in range(6)
]
RECORD = {"tokens": ["a", "b"], "activations": [0.0, 2.0]}
OPENAI = {
    "neuron_id": {"layer_index": 2, "neuron_index": 7},
    "scored_explanations": [
        {"explanation": "poor", "scored_simulation": {"ev_correlation_score": 0.1}},
        {"explanation": "animals", "scored_simulation": {"ev_correlation_score": 0.5}},
    ],
}  # fmt: skip
FEATURE = {
    "modelId": "gpt2-small", "layer": "6-res-jb", "index": "12", "pos_str": [" up"], "pos_values": [1.5],
    "explanations": [
        {"description": "old", "createdAt": "2024", "explanationModelName": "gpt"},
        {"description": "cats", "createdAt": "2025", "explanationModelName": "gpt",
         "scores": [{"value": 0.75, "explanationScoreTypeName": "recall_alt", "explanationScoreModelName": "m"}]},
    ],
    "activations": [{"tokens": [" a", " cat"], "values": [0.0, 3.5], "maxValue": 3.5, "binMin": 2, "binMax": 4}],
}  # fmt: skip


def delphi(folder: Path, words: Any = "animals", judged: Any = JUDGED) -> Path:
    write_json(folder / "explanations" / "layers.2.mlp_latent7.txt", words)
    write_json(folder / "scores" / "detection" / "layers.2.mlp_latent7.txt", judged)
    return folder


def openai(folder: Path) -> Path:
    write_json(folder / "explanations" / "2" / "7.jsonl", OPENAI)
    record = {"neuron_id": OPENAI["neuron_id"], "random_sample": [RECORD]}
    write_json(
        folder / "neurons" / "2" / "7.json",
        {**record, "most_positive_activation_records": [RECORD] * 6},
    )
    return folder


# ---------------------------------------------------------------- what is read


def test_delphi_scores_are_counted_from_its_windows(tmp_path: Path) -> None:
    unit = import_files(delphi(tmp_path / "in"), tmp_path / "set").units[0]
    assert (unit.unit, unit.sentence) == ("sae.layers.2.mlp.7", "animals")
    # of active 1, 3, 5 two are found, of inactive 0, 2, 4 two are not
    assert {score.scorer: score.value for score in unit.scores} == {
        "detection": pytest.approx(2 / 3),
        "detection.auroc": pytest.approx(6 / 9),
    }
    assert {text.active for text in unit.texts_of("scored")} == {True, False}


def test_what_delphi_writes_for_a_failure_is_no_explanation(tmp_path: Path) -> None:
    write_json(
        tmp_path / "in" / "explanations" / "m_latent1.txt", "Explanation could not be parsed."
    )
    imported = import_files(delphi(tmp_path / "in"), tmp_path / "set")
    assert [unit.status for unit in imported] == ["done", "failed"]
    assert not imported.units[1].sentence


def test_a_module_is_what_the_user_says(tmp_path: Path) -> None:
    places = {"layers.2.mlp": "mlp.2"}
    imported = import_files(delphi(tmp_path / "in"), tmp_path / "set", units=places)
    assert imported.units[0].unit == "mlp.2.7"
    with pytest.raises(UsageError, match="the place is"):
        import_files(tmp_path / "in", tmp_path / "set2", units={"layers.2.mlp": "nonsense"})


def test_every_fourth_of_openais_strongest_records_was_in_the_prompt(tmp_path: Path) -> None:
    unit = import_files(openai(tmp_path / "in"), tmp_path / "set").units[0]
    assert (unit.unit, unit.sentence, unit.scores[0].value) == ("mlp.2.7", "animals", 0.5)
    assert [text.role for text in unit.texts] == [
        "prompt",
        "shown",
        "shown",
        "shown",
        "prompt",
        "shown",
        "shown",
    ]


def test_a_feature_of_neuronpedia_keeps_its_newest_explanation(tmp_path: Path) -> None:
    imported = import_files(write_json(tmp_path / "f.json", FEATURE), tmp_path / "set")
    unit = imported.units[0]
    assert (unit.unit, unit.sentence, unit.promoted) == ("sae.6-res-jb.12", "cats", ((" up", 1.5),))
    assert [(s.scorer, s.value, s.judge) for s in unit.scores] == [("recall_alt", 0.75, "m")]
    assert "1 left out" in " ".join(imported.notes)
    neuron = write_json(tmp_path / "n.json", {**FEATURE, "layer": "6"})
    assert import_files(neuron, tmp_path / "set2").units[0].unit == "mlp.6.12"


def test_a_dashboard_has_units_that_wait_for_an_explanation(tmp_path: Path) -> None:
    feature = {"feature_index": 5, "frac_nonzero": 0.1, "pos_str": ["x"], "pos_values": [1],
               "activations": [{"tokens": ["a"], "values": [2.0], "bin_min": 1, "bin_max": 3}]}  # fmt: skip
    batch = {
        "model_id": "gpt2",
        "layer": 3,
        "sae_set": "res",
        "sae_id_suffix": "",
        "features": [feature],
    }
    unit = import_files(write_json(tmp_path / "batch-0.json", batch), tmp_path / "set").units[0]
    assert (unit.unit, unit.status, unit.texts[0].group) == ("sae.3-res.5", "pending", "1 to 3")


def test_a_table_of_anyone_is_read_and_formulas_are_found(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    own = 'mlp.1.3,"strongly words(""cat"")",y\nmlp.1.4,Fires on adjectives.,z\n'
    path.write_text(f"unit,description,mine\nmlp.1.2,about cats,x\n{own}")
    imported = import_files(path, tmp_path / "set")
    words, formula, sentence = (unit.predicate for unit in imported)
    assert (words, formula) == ("", 'strongly words("cat")')
    assert sentence.startswith('extremely pos("adjective")')
    assert "columns that were not read: mine" in imported.notes
    assert read_set(tmp_path / "set") == imported


# ---------------------------------------------------------------- what is refused


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def _replace(old: str, new: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(path.read_text().replace(old, new, 1))


EXPLANATION = "explanations/layers.2.mlp_latent7.txt"
DETECTION = "scores/detection/layers.2.mlp_latent7.txt"


@pytest.mark.parametrize(
    ("make", "file", "damage", "says"),
    [
        (delphi, EXPLANATION, _cut, "cannot be read as JSON"),
        (delphi, EXPLANATION, _replace('"animals"', '["animals"]'), "a JSON string and nothing else"),
        (delphi, DETECTION, _cut, "cannot be read as JSON"),
        (delphi, DETECTION, _replace("[0.0, 1.0]", "[0.0, NaN]"), "NaN is not JSON"),
        (delphi, DETECTION, _replace("[0.0, 1.0]", "[0.0, 1e999]"), "is no finite number"),
        (delphi, DETECTION, _replace("[0.0, 1.0]", "[0.0]"), "2 str_tokens with 1 activations"),
        (delphi, DETECTION, _replace('"activating": false', '"activating": "no"'), "where true or false is expected"),
        (delphi, DETECTION, _replace('"str_tokens"', '"tokens"'), "0 str_tokens"),
        (openai, "explanations/2/7.jsonl", _cut, "cannot be read as JSON"),
        (openai, "explanations/2/7.jsonl", _replace("0.5", "NaN"), "NaN is not JSON"),
        (openai, "explanations/2/7.jsonl", _replace('"layer_index": 2', '"layer_index": -2'), "from 0 on"),
        (openai, "neurons/2/7.json", _replace("[0.0, 2.0]", '[0.0, "x"]'), "where a number is expected"),
        (openai, "neurons/2/7.json", _cut, "cannot be read as JSON"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_one_line_and_nothing_is_kept(
    tmp_path: Path, make: Any, file: str, damage: Callable[[Path], object], says: str
) -> None:
    folder = make(tmp_path / "in")
    damage(folder / file)
    with pytest.raises(HubelError, match=says) as raised:
        import_files(folder, tmp_path / "runs" / "set")
    assert Path(file).name in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.glob("runs/*"))


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("t.csv", "", "is empty"),
        ("t.csv", "target,wrong\nmlp.1.2,x\n", "no column 'text' or 'explanation'"),
        ("t.csv", "target,text\n", "has no rows"),
        ("t.csv", "target,text\nmlp.1.2,x\nmlp.9,y\n", "t.csv:3: 'mlp.9'"),
        ("t.csv", "target,text\nmlp.1.2,x\nmlp.1.2,y\n", "more than once"),
        ("t.csv", "target,text,predicate\nmlp.1.2,x,strongly nonsense(\n", "its predicate cannot be read"),
        ("t.csv", "target,text,simulation/holdout/random\nmlp.1.2,x,inf\n", "no finite number"),
        ("t.csv", "target,text,simulation/holdout/random\nmlp.1.2,x,high\n", "expected a number"),
        ("t.jsonl", '{"target": "mlp.1.2", "text": "x"}\n{"target": ', "not a JSON object"),
        ("t.jsonl", '{"target": "mlp.1.2", "text": NaN}\n', "NaN is not JSON"),
        ("t.parquet", "PAR1 but not", "t.parquet"),
        ("f.json", json.dumps({**FEATURE, "index": "-3"}), "a whole number from 0 on"),
        ("f.json", json.dumps({**FEATURE, "explanations": []}), "no explanation"),
        ("f.json", json.dumps({**FEATURE, "activations": [{"tokens": ["a"], "values": []}]}), "1 tokens with 0 values"),
        ("batch-0.json", '{"sae_set": "r", "features": []}', "'layer' is missing|has no features"),
        ("t.docx", "x", "of no known format"),
    ],
)  # fmt: skip
def test_a_bad_file_is_one_line(tmp_path: Path, name: str, text: str, says: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(HubelError, match=says) as raised:
        import_files(tmp_path / name, tmp_path / "runs" / "set")
    assert name in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.glob("runs/*"))


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    folder = delphi(tmp_path / "in")
    os.truncate(folder / EXPLANATION, 1 << 40)  # a hole, which takes no room
    with pytest.raises(UsageError, match="larger than the"):
        import_files(folder, tmp_path / "set")
    (tmp_path / "t.csv").touch()
    os.truncate(tmp_path / "t.csv", 1 << 40)
    with pytest.raises(UsageError, match="at most"):
        import_files(tmp_path / "t.csv", tmp_path / "set")


def test_a_small_file_that_expands_is_not_read(tmp_path: Path) -> None:
    table = tmp_path / "explanations" / "batch-0.jsonl.gz"
    table.parent.mkdir()
    table.write_bytes(gzip.compress(b'{"modelId": "' + b"x" * (300 << 20) + b'"}', 1))
    with pytest.raises(UsageError, match="batch-0"):
        import_files(tmp_path, tmp_path / "set")


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    folder = delphi(tmp_path / "in")
    (folder / EXPLANATION).unlink()
    os.mkfifo(folder / EXPLANATION)
    with pytest.raises(UsageError, match="is not read"):
        import_files(folder, tmp_path / "set")


def test_units_and_tokens_are_compared_with_the_index(tiny_index: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("target,text\nmlp.0.1,fine\nmlp.77.1,no such layer\n")
    with pytest.raises(UsageError, match=r"t\.csv:3: 'mlp.77.1'.*layers 0 to"):
        import_files(path, tmp_path / "set", index=tiny_index)
    folder = openai(tmp_path / "in")
    unknown = folder / "neurons" / "2" / "7.json"
    unknown.write_text(unknown.read_text().replace('"b"', '"qwertyuiop"'))
    places = folder / "explanations" / "2" / "7.jsonl"
    for file in (unknown, places):
        file.write_text(file.read_text().replace('"layer_index": 2', '"layer_index": 0'))
    with pytest.raises(UsageError, match="layer 0 neuron 7: '"):
        import_files(folder, tmp_path / "set", index=tiny_index)
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tokens": np.full((4, 32), 10**6)}, "but the index's subject only"),
        ({"locations": np.array([[9, 0, 0]], np.uint16)}, "outside of its 4 sequences"),
        ({"activations": np.array([np.nan], np.float16)}, "not finite"),
        ({"tokens": None}, "has no tensor 'tokens'"),
    ],
)
def test_a_bad_cache_of_delphi_is_one_line(
    tiny_index: Path, tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    folder = delphi(tmp_path / "in")
    tensors = {
        "locations": np.array([[1, 3, 0]], np.uint16),
        "activations": np.array([2.0], np.float16),
        "tokens": np.zeros((4, 32), np.int64),
    } | change
    (folder / "latents" / "layers.2.mlp").mkdir(parents=True)
    write_json(folder / "run_config.json", {"sampler_cfg": {"train_type": "top"}})
    kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    save_file(kept, folder / "latents" / "layers.2.mlp" / "7_7.safetensors")
    with pytest.raises(UsageError, match=says):
        import_files(folder, tmp_path / "set", index=tiny_index, units={"layers.2.mlp": "mlp.0"})
