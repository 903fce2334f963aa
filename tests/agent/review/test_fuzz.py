"""The interface under requests that nobody would send: whatever comes, no answer is a defect."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.agent.review.conftest import Client

ANY = st.text(max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY, inner, max_size=4),
    max_leaves=8,
)
BOUNDED = settings(
    max_examples=6,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # requests take time, and shrinking makes hundreds
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def described(client: Client) -> list[tuple[str, str, dict[str, Any]]]:
    paths = client.get("/api/openapi.json").json["paths"]
    return [(method.upper(), path, entry) for path, entries in paths.items() for method, entry in entries.items()]


def values(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    """Of a parameter: what its schema says, its edges, and nonsense."""
    known = [str(value) for value in schema.get("enum", ())]
    numbers = st.one_of(st.integers(), st.floats()).map(str) if schema.get("type") in ("integer", "number") else ANY
    return st.one_of(st.sampled_from(known), ANY) if known else st.one_of(numbers, ANY)


def bodies(entry: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """Of a request: objects with the names that are known and any values, any JSON, and any bytes."""
    schema = entry["requestBody"]["content"]["application/json"]["schema"]
    fields = {
        name: st.one_of(st.sampled_from(spec.get("enum", ["Ada"])), JSON) for name, spec in schema["properties"].items()
    }
    objects = st.fixed_dictionaries({}, optional=fields)
    return st.one_of(
        objects.map(json.dumps).map(str.encode), JSON.map(json.dumps).map(str.encode), st.binary(max_size=200)
    )


@pytest.fixture
def known(client: Client) -> dict[str, str]:
    """What stands in a path where something that is there is asked for."""
    return {"run": "run", "target": "mlp.0.0", "name": "activations.statistics", "job": "run-again-1"}


@BOUNDED
@given(data=st.data())
def test_no_request_finds_a_defect(client: Client, known: dict[str, str], data: st.DataObject) -> None:
    for method, path, entry in described(client):
        filled = path
        for name, value in known.items():
            given_value = value if data.draw(st.integers(0, 3)) else data.draw(ANY)
            filled = filled.replace(f"{{{name}}}", quote(given_value, safe=""))
        query = {
            p["name"]: data.draw(values(p["schema"]))
            for p in entry["parameters"]
            if p["in"] == "query" and data.draw(st.booleans())
        }
        body = data.draw(bodies(entry)) if method == "POST" else None
        answer = client.send(method, f"{filled}?{urlencode(query, errors='replace')}", body)
        assert answer.status < 500 or answer.status == 503, (method, filled, query, body, answer)
        if path.startswith("/api/"):
            assert answer.headers["content-type"] == "application/json", (filled, answer)


@BOUNDED
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"]),
    path=ANY,
    body=st.binary(max_size=100),
)
def test_no_address_finds_a_defect(client: Client, method: str, path: str, body: bytes) -> None:
    for start in ("/", "/api/", "/static/", "/runs/"):
        assert client.send(method, start + quote(path), body).status < 500


def test_every_address_is_described(client: Client) -> None:
    found = client.get("/api/openapi.json").json
    assert found["openapi"].startswith("3.")
    ids = [entry["operationId"] for _, _, entry in described(client)]
    assert len(ids) == len(set(ids))
    assert all(entry["summary"] for _, _, entry in described(client))
