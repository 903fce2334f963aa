"""What no description of the interface holds: any address and method, and bodies that are no JSON. None is a defect."""

from __future__ import annotations

from urllib.parse import quote

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

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
