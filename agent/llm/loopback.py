"""A server on this machine that speaks both providers' protocols, with any `LanguageModel` behind it.

For trying a run without a key, and for tests: what a run sends goes through the providers' own SDKs, and what comes
back is what a program answers. Its usage figures count a prefix that it has seen before as read from the cache.

    with Loopback(model) as server:
        ...  hubel run --explainer openai:any --base-url server.url("openai")
"""

from __future__ import annotations

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from ...tools.errors import UsageError
from .conversation import (
    AssistantMessage,
    LanguageModel,
    Message,
    Reply,
    Request,
    ToolCall,
    ToolResult,
    ToolResults,
    ToolSchema,
    UserMessage,
)

CHARACTERS_A_TOKEN = 4
"""How tokens are counted here: the common rule of thumb."""


class Loopback:
    """The server; a context manager. `bodies` are the requests as they came over the wire."""

    def __init__(self, model: LanguageModel, port: int = 0) -> None:
        self.model = model
        self.bodies: list[dict[str, Any]] = []
        self._seen: list[str] = []
        self._lock = threading.Lock()
        try:
            self._server = _Server(("127.0.0.1", port), _Handler)
        except (OSError, OverflowError) as error:
            raise UsageError(f"port {port} cannot be listened on ({error}); give another --port, or 0") from error
        self._server.loopback = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def url(self, provider: str) -> str:
        """The base URL for a provider's SDK."""
        return f"http://127.0.0.1:{self._server.server_port}" + ("/v1" if provider == "openai" else "")

    def __enter__(self) -> Loopback:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The wire answer to a wire request."""
        openai = path.endswith("/chat/completions")
        request = _openai_request(body) if openai else _anthropic_request(body)
        reply = self.model.reply(request)
        said = [body.get("tools"), body.get("system"), body["messages"]]
        prompt = json.dumps(_unmarked(said), ensure_ascii=False)[:-2]
        with self._lock:
            self.bodies.append(body)
            cached = max((len(old) for old in self._seen if prompt.startswith(old)), default=0) // CHARACTERS_A_TOKEN
            self._seen.append(prompt)
        counts = (len(prompt) // CHARACTERS_A_TOKEN, _size(reply) // CHARACTERS_A_TOKEN, cached)
        return (_openai_answer if openai else _anthropic_answer)(str(body["model"]), reply, *counts)


def _unmarked(value: Any) -> Any:
    """Without the marks that say up to where something may be cached."""
    if isinstance(value, dict):
        return {k: _unmarked(v) for k, v in value.items() if k != "cache_control"}
    return [_unmarked(v) for v in value] if isinstance(value, list) else value


def _size(reply: Reply) -> int:
    return len(reply.text) + sum(len(call.raw) for call in reply.calls)


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away in the middle (a run that was stopped or killed) is no error of the server."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """A list of models is not kept; clients believe in the model that they ask for."""
        self._send(404, {"error": {"message": "this server keeps no list of models"}})

    def do_POST(self) -> None:
        """A request for a reply."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        server = cast(Any, self.server).loopback
        self._send(200, server.answer(self.path, body))

    def _send(self, status: int, answer: dict[str, Any]) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """A server for programs is silent."""


def _openai_request(body: dict[str, Any]) -> Request:
    messages: list[Message] = []
    for message in body["messages"]:
        match message["role"]:
            case "user":
                messages.append(UserMessage(message["content"]))
            case "assistant":
                messages.append(AssistantMessage(_openai_reply(message)))
            case "tool":
                result = ToolResult(message["tool_call_id"], message["content"])
                before = messages.pop() if isinstance(messages[-1], ToolResults) else ToolResults(())
                messages.append(ToolResults((*cast(ToolResults, before).results, result)))
            case _:
                pass
    tools = tuple(
        ToolSchema(t["function"]["name"], t["function"]["description"], t["function"]["parameters"])
        for t in body.get("tools", ())
    )
    system = next((m["content"] for m in body["messages"] if m["role"] == "system"), "")
    return Request(system, tuple(messages), tools)


def _openai_reply(message: dict[str, Any]) -> Reply:
    calls = tuple(
        ToolCall(c["id"], c["function"]["name"], None, c["function"]["arguments"])
        for c in message.get("tool_calls") or ()
    )
    return Reply(message.get("content") or "", calls)


def _anthropic_request(body: dict[str, Any]) -> Request:
    messages: list[Message] = []
    for message in body["messages"]:
        blocks = message["content"]
        if message["role"] == "assistant":
            calls = tuple(
                ToolCall(b["id"], b["name"], b["input"], json.dumps(b["input"]))
                for b in blocks
                if b["type"] == "tool_use"
            )
            messages.append(AssistantMessage(Reply("".join(b.get("text", "") for b in blocks), calls)))
        elif blocks[0]["type"] == "tool_result":
            results = (ToolResult(b["tool_use_id"], b["content"], b["is_error"]) for b in blocks)
            messages.append(ToolResults(tuple(results)))
        else:
            messages.append(UserMessage("".join(b["text"] for b in blocks)))
    tools = tuple(ToolSchema(t["name"], t["description"], t["input_schema"]) for t in body.get("tools", ()))
    return Request("".join(b["text"] for b in body["system"]), tuple(messages), tools)


def _openai_answer(model: str, reply: Reply, prompt: int, output: int, cached: int) -> dict[str, Any]:
    calls = [{"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.raw}} for c in reply.calls]
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    message |= {"tool_calls": calls} if calls else {}
    ending = {"tools": "tool_calls", "length": "length", "refused": "content_filter"}.get(reply.stop, "stop")
    usage = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
    usage |= {"prompt_tokens_details": {"cached_tokens": cached}}
    choice = {"index": 0, "message": message, "finish_reason": ending}
    about = {"id": "chatcmpl-loopback", "object": "chat.completion", "created": int(time.time()), "model": model}
    return about | {"choices": [choice], "usage": usage}


def _anthropic_answer(model: str, reply: Reply, prompt: int, output: int, cached: int) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": reply.text}] if reply.text else []
    content += [{"type": "tool_use", "id": c.id, "name": c.name, "input": c.arguments or {}} for c in reply.calls]
    ending = {"tools": "tool_use", "length": "max_tokens", "refused": "refusal"}.get(reply.stop, "end_turn")
    usage = {"input_tokens": prompt - cached, "output_tokens": output, "cache_read_input_tokens": cached}
    usage |= {"cache_creation_input_tokens": 0}
    about = {"id": "msg_loopback", "type": "message", "role": "assistant", "model": model, "stop_sequence": None}
    return about | {"content": content, "stop_reason": ending, "usage": usage}
