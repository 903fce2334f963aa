"""No file of a run and no line of a terminal holds a key, whatever the server does with it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from hubel.agent.cli.main import run_command_line
from hubel.agent.llm import make_model
from hubel.agent.run.execute import execute_run, make_run, resolve
from hubel.agent.runlog.config import RunConfig
from hubel.agent.runlog.log import read_events
from hubel.agent.runlog.model_config import ModelConfig
from hubel.bench.soak.hostile_server import HostileServer, http_response, reply
from hubel.tools.errors import UsageError
from hubel.tools.subject.subject import Subject
from tests.support.configs import run_config

KEY = "sk-proj-9hQ2LsZr7TgXvB4nWc8yKd1mFa6eRu3j"


def echo(connection: socket.socket, request: bytes) -> None:
    """Good and bad answers in turn, with the request's headers in each of their strings."""
    if b"GET" in request[:4]:
        connection.sendall(http_response(b'{"data": [{"id": "mind\\u001b[2J"}, {"id": "mind"}]}'))
    elif b"third" in request:
        connection.sendall(
            http_response(b'{"error": {"message": "' + KEY.encode() + b'"}}', f"400 {KEY}")
        )
    else:
        call = {"hypotheses": [{"sentence": f"fires on {KEY}", "predicate": f'words("{KEY}")'}]}
        body = json.dumps(reply("openai", f"\x1b[2J{KEY} third", [call], id=KEY))
        connection.sendall(http_response(body.replace('"mind"', '"mind\\u001b[2J"').encode()))


@pytest.mark.slow
def test_a_key_that_the_server_echoes_is_nowhere(
    tmp_path: Path,
    tiny: Subject,
    tiny_index: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    folder = tmp_path / "run"
    with HostileServer(echo) as server:
        settings = {"index": str(tiny_index), "competitor": False, "max_contexts": 300}
        settings |= {"explainer": "openai:mind", "base_url": server.url, "patience": 0.1}
        config = run_config(targets=["mlp.0.0", "mlp.1.1"], **settings)
        make_run(folder, resolve(config))
        execute_run(folder, subject=tiny)
        assert any(KEY.encode() in request for request in server.requests)
    for command in (["show", str(folder)], ["show", str(folder), "mlp.0.0"], ["runs"]):
        run_command_line([*command, "--runs", str(tmp_path)])
        run_command_line([*command, "--runs", str(tmp_path), "--json"])
    printed = "".join(capsys.readouterr())
    assert KEY not in printed
    assert "\x1b" not in printed
    files = [path for path in folder.rglob("*") if path.is_file()]
    holders = [path.name for path in files if KEY[8:24].encode() in path.read_bytes()]
    assert holders == []
    assert "[secret]" in json.dumps([event.data for event in read_events(folder)])


LOGIN = "http://user:pass-word@127.0.0.1:9/v1"


def make_with_base_url(tmp_path: Path, tiny_index: Path) -> None:
    settings = {"index": str(tiny_index), "base_url": LOGIN, "explainer": "compositional"}
    make_run(tmp_path / "run", resolve(run_config(targets=["mlp.0.0"], **settings)))


def test_a_login_in_the_base_url_is_not_stored(tmp_path: Path, tiny_index: Path) -> None:
    with pytest.raises(UsageError, match="OPENAI_BASE_URL") as caught:
        make_with_base_url(tmp_path, tiny_index)
    assert "pass-word" not in str(caught.value)
    assert not (tmp_path / "run" / "config.toml").exists()


@pytest.mark.parametrize(
    "options",
    [
        ["run", "--index", "I", "--targets", "mlp.0.0", "--explainer", "openai:m"],
        ["eval", "T.csv", "--index", "I", "--judge", "openai:m"],
        ["run", "--wrong-option"],
    ],
)
def test_a_login_in_the_base_url_is_not_printed(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line([*options, "--base-url", LOGIN]) != 0
    assert "pass-word" not in "".join(capsys.readouterr())


def test_old_runs_with_a_login_are_still_read(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        f'index = "i"\ntargets = []\nexplainer = "openai:m"\nbase_url = "{LOGIN}"\n'
    )
    config = RunConfig.load(tmp_path)
    with pytest.raises(UsageError, match="leave it out"):
        make_model(ModelConfig("openai:m", config.explainer.base_url))


def test_failures_are_stored_without_secrets(
    monkeypatch: pytest.MonkeyPatch, raising: Callable[[str], Exception]
) -> None:
    from hubel.agent.run.investigate import failure_of

    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    try:
        raise raising(f"the key is {KEY}") from raising(f"at {LOGIN}: {KEY}")
    except Exception as error:  # noqa: BLE001 - any error is stored alike
        stored = json.dumps(failure_of(error))
    assert KEY not in stored
    assert "pass-word" not in stored


@pytest.fixture(params=[ValueError, UsageError])
def raising(request: pytest.FixtureRequest) -> Callable[[str], Exception]:
    return request.param
