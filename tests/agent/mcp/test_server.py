"""`hubel mcp` and the official client: in one process, over standard input and output, and over HTTP."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from hubel.agent.cli.main import run_command_line
from hubel.agent.mcp.dispatch import InstrumentDispatcher
from hubel.agent.mcp.server import make_server
from hubel.tools.instruments import instruments
from tests.agent.mcp.conftest import TOOLS
from tests.support.calls import TEXT
from tests.support.processes import checkout_environment

pytest.importorskip("mcp", reason="hubel mcp needs the MCP SDK, which `make setup` installs")

SCRIPT = """
import os
import sys
from hubel.agent.cli.main import run_command_line
import hubel.tools.subject
def load(name, **options):  # it is in no cache
    from tests.support.tiny import tiny_subject
    print("to standard output")
    return tiny_subject()
hubel.tools.subject.load_subject = load
sys.exit(run_command_line(sys.argv[1:], leave=os._exit))
"""
VERSION = "2025-06-18"
START = {
    "protocolVersion": VERSION,
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "0"},
}


def with_client(target: Any, use: Callable[[Any], Awaitable[Any]]) -> Any:
    """What `use` gives for a connected client."""
    import anyio
    from mcp import Client

    async def main() -> Any:
        async with Client(target) as client:
            return await use(client)

    return anyio.run(main)


def command(index: Path, *options: str) -> list[str]:
    return [sys.executable, "-c", SCRIPT, "mcp", "--index", str(index), *options]


def text_of(result: Any) -> str:
    return "\n".join(part.text for part in result.content)


def test_every_instrument_is_a_tool_and_answers(desk: InstrumentDispatcher) -> None:
    async def use(client: Any) -> tuple[Any, dict[str, Any]]:
        listed = (await client.list_tools()).tools
        return listed, {
            name: await client.call_tool(name, arguments) for name, arguments in TOOLS.items()
        }

    listed, answers = with_client(make_server(desk), use)
    by_tool_name = {name.replace(".", "_"): entry for name, entry in instruments().items()}
    assert set(TOOLS) == set(by_tool_name) == {tool.name for tool in listed}
    for tool in listed:
        assert tool.input_schema == by_tool_name[tool.name].schema()
        assert tool.description == by_tool_name[tool.name].description
    for name, answer in answers.items():
        assert not answer.is_error, text_of(answer)
        assert text_of(answer) == by_tool_name[name](desk.bench, TOOLS[name]).render()
        assert answer.structured_content is None


def test_invalid_calls_are_answered_with_what_is_valid(desk: InstrumentDispatcher) -> None:
    wrong = [
        ("steer", {"unit": "mlp.1.5", "text": TEXT}, "strengths: Field required"),
        ("logit_lens", {"unit": "mlp.9.5"}, "layers 0 to 2"),
        (
            "activations_exemplars",
            {"unit": "mlp.1.5", "split": "holdout"},
            "split: Extra inputs are not permitted",
        ),
        ("shell", {"command": "ls"}, "there are ablate, "),
    ]

    async def use(client: Any) -> list[Any]:
        return [await client.call_tool(name, arguments) for name, arguments, _ in wrong]

    for answer, (_, _, says) in zip(with_client(make_server(desk), use), wrong, strict=True):
        assert answer.is_error
        assert says in text_of(answer)


def test_json_comes_with_the_text_when_it_is_asked_for(desk: InstrumentDispatcher) -> None:
    async def use(client: Any) -> Any:
        return await client.call_tool("logit_lens", TOOLS["logit_lens"])

    answer = with_client(make_server(desk, structured=True), use)
    assert answer.structured_content == desk.call("logit_lens", TOOLS["logit_lens"]).result


def test_a_call_that_is_given_up_leaves_the_server_well(desk: InstrumentDispatcher) -> None:
    import anyio

    async def use(client: Any) -> Any:
        with anyio.move_on_after(0.02) as gave_up:
            await client.call_tool("coactivating", {"unit": "mlp.1.5", "contexts": 300})
        return gave_up.cancelled_caught, await client.call_tool("logit_lens", TOOLS["logit_lens"])

    gave_up, answer = with_client(make_server(desk), use)
    assert gave_up
    assert "promotes" in text_of(answer)


def test_resources_tell_of_the_index_and_of_units_but_not_of_holdout(
    desk: InstrumentDispatcher,
) -> None:
    from mcp.shared.exceptions import MCPError

    async def use(client: Any) -> tuple[Any, Any, list[str]]:
        listed = [*(r.uri for r in (await client.list_resources()).resources)]
        listed += [
            t.uri_template for t in (await client.list_resource_templates()).resource_templates
        ]
        index = await client.read_resource("hubel://index")
        unit = await client.read_resource("hubel://unit/mlp.1.5")
        for uri in ("hubel://holdout", "hubel://unit/mlp.9.9"):
            with pytest.raises(MCPError, match=r"no resource|not in this index"):
                await client.read_resource(uri)
        return index, unit, listed

    index, unit, listed = with_client(make_server(desk), use)
    assert listed == ["hubel://index", "hubel://unit/{address}"]
    about = json.loads(index.contents[0].text)
    assert (about["subject"]["name"], about["layers"], set(about["contexts"])) == (
        "tiny-llama",
        3,
        {"explore", "select"},
    )
    assert "mlp.1.5 over " in unit.contents[0].text


@pytest.mark.slow
def test_over_standard_input_and_output_with_a_log(
    tiny_index: Path, tmp_path: Path, capsys: Any
) -> None:
    from mcp.client.stdio import StdioServerParameters, stdio_client

    argv = command(tiny_index, "--log", "by-hand", "--runs", str(tmp_path))
    server = StdioServerParameters(
        command=argv[0], args=argv[1:], env=checkout_environment(), cwd=tmp_path
    )

    async def use(client: Any) -> tuple[int, list[Any]]:
        n = len((await client.list_tools()).tools)
        return n, [await client.call_tool(name, TOOLS[name]) for name in ("logit_lens", "compare")]

    with (tmp_path / "errors").open("w") as errors:
        n, answers = with_client(stdio_client(server, errlog=errors), use)
    assert "to standard output" in (tmp_path / "errors").read_text(), (
        "what others print goes to standard error"
    )
    assert (n, [answer.is_error for answer in answers]) == (len(TOOLS), [False, False])
    assert run_command_line(["show", "by-hand", "--runs", str(tmp_path), "--json"]) == 0
    calls = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["call"], row["instrument"], row["error"]) for row in calls] == [
        (1, "logit_lens", False), (2, "compare", False),
    ]  # fmt: skip
    assert calls[1]["arguments"] == TOOLS["compare"]
    assert run_command_line(["show", "by-hand", "--runs", str(tmp_path)]) == 0
    assert "2. compare {" in capsys.readouterr().out
    assert run_command_line(["resume", "by-hand", "--runs", str(tmp_path)]) == 2
    assert "has no targets to continue" in capsys.readouterr().err
    assert not (tmp_path / "by-hand" / "lexicon").exists()
    assert run_command_line(["runs", "--runs", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["explainer"] == "mcp"


@pytest.mark.slow
def test_standard_output_holds_the_protocol_only_and_ctrl_c_ends_it_in_a_line(
    tiny_index: Path, tmp_path: Path
) -> None:
    messages: list[dict[str, Any]] = [
        {"id": 1, "method": "initialize", "params": START},
        {"method": "notifications/initialized"},
        {
            "id": 2,
            "method": "tools/call",
            "params": {"name": "activations_statistics", "arguments": {"unit": "mlp.1.5"}},
        },
    ]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    argv = command(tiny_index, "--log", "stopped", "--runs", str(tmp_path))
    with subprocess.Popen(argv, env=checkout_environment(), **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for message in messages:
            process.stdin.write((json.dumps({"jsonrpc": "2.0", **message}) + "\n").encode())
        process.stdin.flush()
        lines = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 1
        assert process.stdout.read() == b""
        errors = process.stderr.read().decode().splitlines()
    assert [line["id"] for line in lines] == [1, 2]
    assert "mlp.1.5 over " in lines[1]["result"]["content"][0]["text"]
    assert errors[-1] == "hubel: the MCP server is stopped"
    assert (
        b'"activations.statistics"'
        in next((tmp_path / "stopped" / "events").glob("*.jsonl")).read_bytes()
    )


@pytest.mark.slow
def test_http_serves_only_clients_with_the_token(tiny_index: Path) -> None:
    secret = {"HUBEL_MCP_TOKEN": "a secret"}
    process = subprocess.Popen(
        command(tiny_index, "--http", "0"),
        env=checkout_environment() | secret,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        address = re.search(r"http://127\.0\.0\.1:\d+/mcp", process.stderr.readline())
        assert address
        assert "a secret" not in process.stderr.readline()
        assert refused(address[0], {}) == 401
        assert refused(address[0], {"Authorization": "Bearer guess"}) == 401
        assert refused(
            address[0], {"Authorization": "Bearer a secret", "Host": "evil.example"}
        ) in (
            403,
            421,
        )

        async def use(client: Any) -> Any:
            return await client.call_tool("activations_statistics", TOOLS["activations_statistics"])

        assert "mlp.1.5 over " in text_of(with_client(over_http(address[0], "a secret"), use))
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) in (0, 1)
    finally:
        process.kill()
        process.communicate()


@asynccontextmanager
async def over_http(url: str, token: str) -> AsyncIterator[Any]:
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        streamable_http_client(url, http_client=http) as streams,
    ):
        yield streams


def refused(url: str, headers: dict[str, str]) -> int:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).encode()
    kinds = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    request = urllib.request.Request(url, body, headers=kinds | headers)
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request, timeout=30)
    status = error.value.code
    error.value.close()
    return status


@pytest.mark.slow
def test_a_run_of_another_kind_is_not_written_into(
    finished: Path, tiny_index: Path, capsys: Any
) -> None:
    argv = [
        "mcp",
        "--index",
        str(tiny_index),
        "--runs",
        str(finished.parent),
        "--log",
        finished.name,
    ]
    assert run_command_line(argv) == 2
    assert "is a run with targets" in capsys.readouterr().err


@pytest.mark.slow
def test_every_request_over_standard_input_is_answered(tiny_index: Path) -> None:
    call = {"name": "tokens_describe", "arguments": {"words": ["WORD"]}}
    good = json.dumps({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": call})
    odd = [
        good.replace("WORD", "\\ud800"),
        good.replace("WORD", "\\ud83d\\ude00 \\udfff"),
        good.replace("WORD", "x" * 9_000_000),
        good.replace('["WORD"]', "[" * 5000 + "]" * 5000),
        good.replace('["WORD"]', "NaN"),
        good.replace('["WORD"]', "1e999"),
        good.replace('["WORD"]', "9" * 400),
        good.replace('["WORD"]', '["a"], "words": ["b"]'),
        good.replace('"WORD"]', ""),
        good.replace("WORD", "\\q"),
        good.replace('"tools/call"', '"no/such"'),
        good.replace("WORD", "cat"),
    ]
    start = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": START}
    begun = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    lines = [json.dumps(start), json.dumps(begun), "no JSON", "", "[]", "\x00\xff"]
    lines += [line.replace('"id": 7', f'"id": {10 + i}') for i, line in enumerate(odd)]
    argv = command(tiny_index)
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(argv, env=checkout_environment(), **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n".join([*lines, ""]).encode("latin-1"))
        process.stdin.flush()
        timer = Timer(120, process.kill)
        timer.start()  # a server that is silent must not hold the suite
        answers = {}
        while len(answers) < 1 + len(odd):
            line = process.stdout.readline()
            assert line, "the server has ended"
            answer = json.loads(line)
            answers[answer.get("id")] = answer
        timer.cancel()
        process.stdin.close()
        assert process.wait(timeout=60) == 0
        process.stdout.read()
    wrong = [
        i
        for i in range(len(odd))
        if "error" in answers[10 + i] or answers[10 + i]["result"]["isError"]
    ]
    assert wrong == [*range(2, 11)]
    assert "given twice" in json.dumps(answers[17])
