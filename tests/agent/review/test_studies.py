"""What the server and a report say of a study's run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from hubel.agent.review.report import write_folder, write_report
from hubel.agent.review.run_catalog import RunCatalog
from hubel.agent.review.server import make_app
from hubel.tools.subject.subject import Subject
from tests.support.study_run import make_study


@pytest.fixture(scope="module")
def runs(tiny: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studies") / "runs"
    make_study(folder / "heads", tiny)
    return folder


@pytest.fixture
def client(runs: Path) -> TestClient:
    return TestClient(make_app(RunCatalog(runs)))


def test_a_study_is_listed_with_its_claims_by_verdict(client: TestClient) -> None:
    (row,) = client.get("/api/runs").json()["runs"]
    assert (row["kind"], row["state"], row["study"]) == ("study", "done", "attention")
    assert row["subject"] == "tiny-llama"
    assert sum(row["claims"].values()) == 3
    assert client.get("/api/runs/heads").json()["run"]["kind"] == "study"


def test_its_result_is_the_file_of_the_run(client: TestClient, runs: Path) -> None:
    expected = json.loads((runs / "heads" / "study.json").read_text())
    assert client.get("/api/runs/heads/study").json() == expected
    kinds = {figure["kind"] for figure in expected["figures"]}
    assert kinds == {"lines", "heat map", "scatter", "bars"}


def test_what_it_has_not_is_refused_by_name(client: TestClient) -> None:
    answer = client.get("/api/runs/heads/targets")
    assert answer.status_code == 404
    assert "heads is a study and has no list of targets" in answer.json()["error"]
    assert client.get("/api/runs/heads/circuit").status_code == 404
    assert client.get("/api/compare?a=heads&b=heads").json()["error"].startswith("heads is a study")


def test_a_study_without_a_result_or_with_a_changed_one_is_said_in_the_list(
    tiny: Subject, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    result = make_study(runs / "heads", tiny) / "study.json"
    result.write_text(result.read_text().replace("0.5", "0.6"))
    client = TestClient(make_app(RunCatalog(runs)))
    (row,) = client.get("/api/runs").json()["runs"]
    assert row["state"] == "unreadable"
    assert "study.json" in row["notice"]
    assert client.get("/api/runs/heads/study").status_code == 409
    result.unlink()
    (row,) = client.get("/api/runs").json()["runs"]
    assert (row["state"], row["notice"]) == (
        "interrupted",
        "No result yet; `hubel resume heads` goes on where it stopped.",
    )


def test_a_report_holds_the_whole_study_and_asks_for_nothing(runs: Path, tmp_path: Path) -> None:
    page = write_report(runs / "heads", tmp_path / "report.html").read_text()
    match = re.search(r'<script type="application/json" id="report">(.*?)</script>', page, re.S)
    assert match
    responses: Any = json.loads(match[1])["responses"]
    assert responses["/api/runs/heads/study"]["question"].startswith("Where do heads attend")
    assert "connect-src 'none'" in page
    assert not re.search(r'(?:src|href)="https?://', page)
    folder = write_folder(runs / "heads", tmp_path / "report")
    assert "/api/runs/heads/study" in folder.read_text()
