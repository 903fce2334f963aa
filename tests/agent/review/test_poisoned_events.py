"""Events that have the right hashes and the wrong content: each is an error where its target is shown."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from hubel.agent.cli.main import run_command_line
from hubel.agent.review.run_catalog import RunCatalog
from hubel.agent.runlog.event_shapes import misfit
from hubel.agent.runlog.log import RunLog
from hubel.agent.runlog.segments import read_segment, segments
from tests.agent.review.conftest import ReviewClient, serving
from tests.support.processes import run_python

DEEP: Any = "bottom"
for _ in range(300):
    DEEP = [DEEP]
POISONS = (
    5,
    -0.5,
    True,
    "text",
    [],
    [1, "a", None],
    {},
    {"a": {"b": []}},
    10**30,
    10**400,
    DEEP,
    ["x"] * 1000,
)
KINDS = (
    "conclusion", "failure", "score", "observation", "hypothesis", "feedback", "prediction", "outcome", "competitor",
    "move", "call", "fit", "evaluation", "evidence", "neighbours", "llm_call", "verdicts", "no such kind",
)  # fmt: skip
FIELDS = (
    "explanation", "predicate", "p", "seconds", "hypothesis", "error", "value", "low", "floors", "split", "scorer",
    "text", "exemplars+", "middling-", "statistics", "logit_lens", "sentence", "id", "round", "score", "passage",
    "bounds", "observed", "compared", "hypotheses", "experiments", "claims", "request", "answer", "scores", "corpus",
    "trivial", "direction", "together", "usd", "input_tokens", "rows", "cannot_explain", "favourite", "select",
    "prompt", "model",
)  # fmt: skip
TARGET, OTHER = "mlp.0.0", "mlp.1.2-"


def poison(folder: Path, kind: str, *poisons: dict[str, Any]) -> None:
    """Append events to the log, each with its hash."""
    log = RunLog(folder)
    for data in poisons:
        log.write(kind, data, target=None if kind == "verdicts" else TARGET, id=None)
    log.close()


def assert_all_pages_are_shown(client: ReviewClient) -> dict[str, Any]:
    assert client.get("/api/runs").json["runs"][0]["state"] != "unreadable"
    base = "/api/runs/run"
    for path in ("", "/targets", "/targets?sort=r&q=a", "/search?q=a"):
        assert client.get(base + path).status == 200, (path, client.get(base + path))
    for target in (TARGET, OTHER):
        for path in ("", "/predicted", "/transcript"):
            answer = client.get(f"{base}/targets/{target}{path}")
            assert answer.status in (200, 404), answer
    return client.get(f"{base}/targets/{TARGET}").json


@pytest.mark.parametrize("kind", KINDS)
def test_value_of_another_type_is_an_error_of_its_target(folder: Path, kind: str) -> None:
    fields = [[f for f in FIELDS if f != "hypothesis"], FIELDS]
    data = (dict.fromkeys(fields[n % 2], value) for n, value in enumerate(POISONS))
    poison(folder, kind, *data)
    with serving(RunCatalog(folder.parent)) as client:
        page = assert_all_pages_are_shown(client)
        if kind == "verdicts":
            assert "left out" in client.get("/api/runs/run").json["notices"][0]
        elif kind == "llm_call":
            assert "left out" in page["row"]["error"]
        elif kind not in ("no such kind", "evidence"):
            assert "left out" in page["notices"][0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["conclusion", "score", "observation", "llm_call", "move", "call"])
@pytest.mark.parametrize("value", [5, "text", [1], {"a": 1}], ids=str)
def test_one_value_of_another_type_breaks_nothing(folder: Path, kind: str, value: Any) -> None:
    poison(folder, kind, *({field: value} for field in FIELDS))
    with serving(RunCatalog(folder.parent)) as client:
        assert_all_pages_are_shown(client)


@pytest.mark.parametrize(
    "command", [["runs"], ["show", "run"], ["show", "run", TARGET], ["report", "run"]], ids=str
)
@pytest.mark.parametrize("kind", KINDS)
def test_terminal_has_a_line_for_it(
    folder: Path, kind: str, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    data: list[dict[str, Any]] = [dict.fromkeys(FIELDS, value) for value in POISONS]
    poison(folder, kind, *data)
    status = run_command_line([*command, "--runs", str(folder.parent)])
    error = capsys.readouterr().err
    assert status == 0 or (error.startswith("hubel: ") and error.count("\n") == 1), error


def test_half_a_surrogate_pair_and_nan_are_found() -> None:
    assert misfit("conclusion", {"explanation": "\ud800"})
    assert misfit("conclusion", {"p": float("nan")})
    assert misfit("conclusion", {"p": float("inf")})
    assert misfit("observation", {"exemplars+": {"exemplars": [{"tokens": ["a", "\udfff"]}]}})
    assert misfit("observation", {"exemplars+": {"exemplars": [{"activations": [1.0, None]}]}})
    assert misfit("score", {"floors": {"trivial": True}})
    assert "p is 'high', where a number is expected" in misfit("conclusion", {"p": "high"})
    assert not misfit("conclusion", {"p": None, "unknown": object()})


def test_events_of_every_run_that_comes_along_have_their_shapes() -> None:
    runs = Path(__file__).parents[3] / "runs"
    for run in ("example", "example-model"):
        for path in segments(runs / run).values():
            for event in read_segment(path):
                assert not misfit(event.event, event.data())


# ---------------------------------------------------------------- sizes and links


def _replace_log(folder: Path, rows: int, value: str) -> Path:
    """A sealed segment instead of the log: few bytes that name one text many times."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in segments(folder).values():
        path.unlink()
    (folder / "seal.json").unlink(missing_ok=True)
    data = json.dumps({"error": value})
    columns: dict[str, Any] = {name: [name] * rows for name in ("time", "event", "target")}
    columns |= {"seq": list(range(rows)), "id": pa.nulls(rows, pa.string())}
    columns["data"] = pa.DictionaryArray.from_arrays([0] * rows, [data])  # never written out here
    path = folder / "events" / "0001-1.parquet"
    pq.write_table(pa.table(columns), path, compression="zstd", store_schema=False)
    return path


ROOM = 1 << 30


def test_small_file_with_gigabytes_of_text_is_refused(folder: Path) -> None:
    path = _replace_log(folder, rows=5000, value="x" * 400_000)
    assert path.stat().st_size < 100_000
    script = f"""
import re
from pathlib import Path
from hubel.agent.review.run_catalog import RunCatalog
from hubel.agent.review.run_rows import run_rows
print(run_rows(RunCatalog(Path({str(folder.parent)!r})))[0].notice)
status = Path("/proc/self/status")  # ru_maxrss would be that of the process that started this one
print(int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1]) * 1024 if status.exists() else 0)
"""
    done = run_python(script)
    notice, peak = done.stdout.splitlines()
    assert "bytes of text" in notice, done.stderr
    assert int(peak) < ROOM


def test_links_in_a_run_lead_nowhere(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("reviews", "report"):
        (folder / name).symlink_to(outside)
    review = {"verdict": "approve", "name": "Ada"}
    with serving(RunCatalog(folder.parent)) as client:
        answer = client.post(f"/api/runs/run/targets/{TARGET}/reviews", review)
        assert answer.status == 400
        assert "is a link" in answer.json["error"]
        assert client.get(f"/api/runs/run/targets/{TARGET}").json["reviews"] == []
    assert run_command_line(["report", "run", "--folder", "--runs", str(folder.parent)]) != 0
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("name", ["events", "collected", "lexicon", "checkpoints.sqlite", "lock"])
def test_writer_of_a_run_follows_no_link_out_of_it(
    folder: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = tmp_path / "outside"
    if (folder / name).exists():
        (folder / name).rename(outside)
    (folder / name).symlink_to(outside)
    assert run_command_line(["resume", "run", "--runs", str(folder.parent)]) != 0
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert name in error


def test_fifo_among_the_reviews_is_named_and_nothing_waits(folder: Path) -> None:
    (folder / "reviews").mkdir()
    os.mkfifo(folder / "reviews" / "a.jsonl")
    with serving(RunCatalog(folder.parent)) as client:
        for path in (
            "/api/runs",
            "/api/runs/run",
            "/api/runs/run/targets",
            f"/api/runs/run/targets/{TARGET}",
        ):
            assert client.get(path).status in (200, 409)
        assert "a.jsonl" in client.get("/api/runs").json["runs"][0]["notice"]
