"""Who may talk to the server, and what is forbidden whatever it answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubel.agent.review.guard import MAX_BODY, POLICY
from tests.agent.review.conftest import ReviewClient

REVIEW = "/api/runs/run/targets/mlp.0.0/reviews"


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", ["/api/runs", "/runs/run", "/api/nothing", "/nothing", "/static/nothing.js"]
)
@pytest.mark.parametrize("cookie", [True, False])
def test_every_response_has_security_headers(client: ReviewClient, path: str, cookie: bool) -> None:
    answer = client.get(path) if cookie else client.get(path, cookie=None)
    assert answer.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"


def test_requests_without_the_token_are_refused(client: ReviewClient) -> None:
    assert client.get("/api/runs").status == 200
    for cookie in (None, "", f"{client.guard.cookie}=", f"{client.guard.cookie}=wrong", "\xff=;;;"):
        answer = client.get("/api/runs", cookie=cookie)
        assert answer.status == 401
        assert "hubel review" in answer.json["error"]


def test_first_address_sets_an_http_only_same_site_cookie(
    client: ReviewClient,
) -> None:
    answer = client.get(f"/api/runs?token={client.guard.token}", cookie=None)
    assert answer.status == 200
    parts = {part.strip() for part in answer.headers["set-cookie"].split(";")}
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= parts
    assert client.get("/api/runs?token=wrong", cookie=None).status == 401


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1", "localhost.evil.example:{port}", ""],
)
def test_foreign_host_name_is_refused(client: ReviewClient, host: str) -> None:
    assert client.get("/api/runs", host=host.format(port=client.port)).status == 421


def test_own_host_names_are_accepted(client: ReviewClient) -> None:
    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert client.get("/api/runs", host=f"{host}:{client.port}").status == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "https://127.0.0.1:{port}",
        "http://127.0.0.1:1",
        "http://[",
        "",
    ],
)
def test_other_origins_cannot_write(client: ReviewClient, folder: Path, origin: str) -> None:
    body = {"verdict": "approve", "name": "Eve"}
    assert client.post(REVIEW, body, origin=origin.format(port=client.port)).status == 403
    assert not (folder / "reviews").exists()
    assert client.post(REVIEW, body, sec_fetch_site="cross-site").status == 403
    assert client.post(REVIEW, body).status == 200


def test_form_of_another_site_cannot_write(client: ReviewClient) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None):
        assert (
            client.post(REVIEW, {"verdict": "approve", "name": "Eve"}, content_type=kind).status
            == 415
        )


def test_large_body_is_refused(client: ReviewClient) -> None:
    body = {"verdict": "note", "name": "Ada", "note": "x" * MAX_BODY}
    assert client.post(REVIEW, body).status == 413


PATHS = (
    "..", "../outside", "%2e%2e", "%2e%2e%2foutside", "..%2foutside", "outside", "run%2f..%2foutside", "%00", "run%00",
    "/etc", "%2fetc", "....", "run/../../outside", "C:", "link", "~", "run%5c..",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", PATHS)
def test_nothing_outside_the_runs_folder_can_be_read(
    client: ReviewClient, folder: Path, name: str
) -> None:
    outside = folder.parent.parent / "outside"
    outside.mkdir()
    (outside / "config.toml").write_bytes((folder / "config.toml").read_bytes())
    (outside / "circuit.json").write_text('{"secret": 1}')
    (folder.parent / "link").symlink_to(outside)
    for path in (
        f"/api/runs/{name}",
        f"/api/runs/{name}/targets",
        f"/api/runs/{name}/circuit",
        f"/static/{name}",
    ):
        answer = client.get(path)
        assert answer.status in (400, 404), (path, answer)
        assert b"secret" not in answer.body
    assert [run["name"] for run in client.get("/api/runs").json["runs"]] == ["run"]


def test_link_out_of_a_run_is_not_followed(client: ReviewClient, folder: Path) -> None:
    secret = folder.parent.parent / "secret.json"
    secret.write_text('{"secret": 1}')
    (folder / "circuit.json").symlink_to(secret)
    answer = client.get("/api/runs/run/circuit")
    assert answer.status == 409
    assert b'"secret"' not in answer.body
