"""What no description of the interface holds: any address and method, and bodies that are no JSON. None is a defect."""

from __future__ import annotations

from collections import defaultdict
from itertools import product
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hubel.agent.review.openapi import Operation
from hubel.agent.review.server import ROUTES
from tests.agent.review.conftest import ReviewClient

BOUNDED = settings(
    max_examples=6,
    deadline=None,
    phases=(
        Phase.explicit,
        Phase.reuse,
        Phase.generate,
    ),  # requests take time, and shrinking makes hundreds
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
THERE = {"run": "run", "target": "mlp.0.0", "name": "activations.statistics"}


@BOUNDED
@given(
    body=st.binary(max_size=200) | st.text(max_size=40).map(lambda text: f'{{"{text}":'.encode())
)
def test_body_that_is_not_json_is_refused(client: ReviewClient, body: bytes) -> None:
    for operation in ROUTES:
        if operation.method == "POST":
            answer = client.send("POST", operation.path.format_map(THERE), body)
            assert answer.status == 400, (operation.path, body, answer)
            assert answer.json["error"]


@BOUNDED
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"]),
    path=st.text(max_size=40),
    body=st.binary(max_size=100),
)
def test_no_request_causes_a_server_error(
    client: ReviewClient, method: str, path: str, body: bytes
) -> None:
    for start in ("/", "/api/", "/static/", "/runs/"):
        assert client.send(method, start + quote(path), body).status < 500


def test_every_address_is_in_openapi(client: ReviewClient) -> None:
    described = client.get("/api/openapi.json").json
    assert described["openapi"].startswith("3.")
    entries = [entry for methods in described["paths"].values() for entry in methods.values()]
    assert len({entry["operationId"] for entry in entries}) == len(entries) == len(ROUTES)
    assert all(entry["summary"] for entry in entries)


ODD_VALUES = (
    "", "0", "-1", "1e23", "1" + "0" * 23, "9" * 400, "-9223372036854775809", "9223372036854775808", "1e308", "1e999",
    "nan", "inf", "0x10", "1_000", "٣", "²", "1.5", "none", "None", "null", "a,b", "," * 600, "\x00", "\uffff",
    "a" * 5000, '"', "'; drop table targets; --", '" OR "', "*", "NEAR(", "%", "\U0001f600", "-", "(" * 200, "position",
)  # fmt: skip
"""Values that are not numbers, too large for SQLite, or mean something to SQL, FTS or a path."""
GETS = [operation for operation in ROUTES if operation.method == "GET"]


@pytest.mark.parametrize("operation", GETS, ids=lambda operation: operation.path)
def test_no_query_causes_a_server_error(client: ReviewClient, operation: Operation) -> None:
    path = operation.path.format_map(defaultdict(lambda: "run", THERE))
    for name, value in product((*operation.query, "unknown"), ODD_VALUES):
        whole = {"a": "run", "b": "run", "q": "x"} if {name, *operation.query} & {"a", "q"} else {}
        answer = client.get(f"{path}?{urlencode(whole | {name: value})}")
        assert answer.status < 500, (name, value, answer)
        assert answer.json is not None
    assert client.get(f"{path}?{quote(chr(255), encoding='latin-1')}=%ff%00&a&&=&;").status < 500


@pytest.mark.parametrize(
    "value",
    ['"\\ud800"', "NaN", "1e999", "-Infinity", "9" * 400, "[" * 900 + "]" * 900, "{}", "null", '"\\u0000"', "1.5",
     "true", '"' + "x" * 20_000 + '"'],
)  # fmt: skip
def test_no_value_in_a_body_causes_a_server_error(client: ReviewClient, value: str) -> None:
    bodies = [f'{{"text":{value}}}', f'{{"run":{value}}}', f'{{"run":"run","arguments":{value}}}']
    for name in ("name", "text", "predicate", "note"):
        bodies.append(f'{{"verdict":"edit","name":"Ada","{name}":{value}}}')
    for name in ("name", "note", "max_contexts", "seed"):
        bodies.append(f'{{"name":"Ada","{name}":{value}}}')
    for name in ("unit", "units", "n", "text"):
        bodies.append(f'{{"run":"run","arguments":{{"{name}":{value}}}}}')
    for operation in ROUTES:
        if operation.method == "POST":
            for body in bodies:
                answer = client.send("POST", operation.path.format_map(THERE), body.encode())
                assert answer.status < 500, (operation.path, body[:200], answer)
                assert answer.json is not None
