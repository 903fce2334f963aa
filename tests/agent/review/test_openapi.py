"""Schemathesis over the interface as `/api/openapi.json` describes it: valid and invalid requests,
with the cookie and without. No answer is a defect, and each is one that the description promises.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hubel.agent.review.openapi import describe
from hubel.agent.review.run_catalog import RunCatalog
from hubel.agent.review.server import ROUTES
from tests.agent.review.conftest import ReviewClient, serving

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

SCHEMA = schemathesis.openapi.from_dict(describe(ROUTES))
OPERATIONS = {operation.ok().label: operation.ok() for operation in SCHEMA.get_all_operations()}
MODES = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
THERE = {"run": "run", "target": "mlp.0.0", "name": "activations.statistics", "job": "run-again-1"}
"""What stands in a path where something that is there is asked for: a name drawn at random never is."""


@pytest.fixture(scope="module")
def site(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReviewClient]:
    """One server for all requests; what they write changes nothing that is looked at here."""
    folder = tmp_path_factory.mktemp("openapi") / "runs" / "run"
    shutil.copytree(finished, folder)
    with serving(RunCatalog(folder.parent)) as client:
        yield client


@st.composite
def cases(draw: st.DrawFn, operation: Any) -> Any:
    """A request that the description allows or forbids, most of them of something that is there."""
    case = draw(operation.as_strategy(generation_mode=draw(st.sampled_from(MODES))))
    for name in case.path_parameters or ():
        if draw(st.integers(0, 3)):
            case.path_parameters[name] = THERE[name]
    return case


@pytest.mark.slow
@pytest.mark.parametrize("label", list(OPERATIONS))
@settings(
    max_examples=20,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),  # requests take time, and shrinking makes hundreds
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(data=st.data())
def test_responses_match_openapi(site: ReviewClient, label: str, data: st.DataObject) -> None:
    case = data.draw(cases(OPERATIONS[label]))
    has_token = data.draw(st.booleans())
    own = f"http://127.0.0.1:{site.port}"
    headers = {"cookie": f"{site.guard.cookie}={site.guard.token}"} if has_token else {}
    response = case.call(base_url=own, headers=headers, timeout=30)
    assert response.status_code < 500, (case.as_curl_command(), response.text)
    checks = schemathesis.checks
    case.validate_response(
        response,
        checks=[
            checks.not_a_server_error,
            *(
                checks.CHECKS.get_one(name)
                for name in ("status_code_conformance", "response_schema_conformance")
            ),
        ],
    )
    if not has_token:
        assert response.status_code >= 400
