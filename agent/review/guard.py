"""Who may talk to the review server, and what a browser may do with its answers.

1. Host: only names that this server was opened under, so that no foreign name can point here (DNS
   rebinding).
2. Origin: a request that says which page sent it must have been sent by a page of this server
   (cross-site writes).
3. A token, new for each server, in the first address; then a cookie that scripts cannot read and
   other sites cannot send. Files of the front end are no secret and need neither.
4. Writes are JSON and small.
5. Every answer, errors too, forbids all scripts but the server's own files, framing, and guessing
   of types.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

MOST_BODY = 256 << 10
"""Bytes of a request; the longest thing a person writes here is a text to try."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
STATIC = "/static/"
SLASH = "\ufdd0"
"""Stands for a slash inside a name, as long as addresses are taken apart: a code point that no text holds."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Guard:
    """Stands before the application. One a server."""

    def __init__(
        self, app: App, *, port: int, host: str = "127.0.0.1", token: str | None = None
    ) -> None:
        self.app = app
        self.token = token or secrets.token_urlsafe(24)
        self.cookie = f"hubel-{port}"
        self.hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]", host)}
        self._port = port
        self._open_to_others = not is_loopback(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        fresh = bool(given) and hmac.compare_digest(given.encode(), self.token.encode())
        answer = _Answering(send, self._cookie() if fresh else None)
        refusal = self._refusal(scope, headers, fresh)
        if refusal is not None:
            await _refuse(scope, answer, *refusal)
            return
        await self.app(_with_slashes_kept(scope), _Limited(receive), answer)

    def _refusal(
        self, scope: Scope, headers: dict[str, str], fresh: bool
    ) -> tuple[int, str] | None:
        if not self._is_own_host(headers.get("host", "")):
            return (
                421,
                "this server is not known under that name; open the address that `hubel review` printed",
            )
        origin = headers.get("origin")
        if origin is not None and not self._is_own_origin(origin):
            return 403, "this request was sent by a page of another site"
        if headers.get("sec-fetch-site") == "cross-site" and scope["method"] not in ("GET", "HEAD"):
            return 403, "this request was sent by a page of another site"
        if scope["path"].startswith(STATIC):
            return None
        if not fresh and not self._has_cookie(headers.get("cookie", "")):
            return 401, "open the address that `hubel review` printed: it holds this server's token"
        if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            return _unfit(headers)
        return None

    def _is_own_host(self, host: str) -> bool:
        if host.lower() in self.hosts:
            return True
        return self._open_to_others and _is_address(
            host, self._port
        )  # an address cannot be made to point elsewhere

    def _is_own_origin(self, origin: str) -> bool:
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        return parts.scheme == "http" and self._is_own_host(parts.netloc)

    def _has_cookie(self, header: str) -> bool:
        try:
            found = SimpleCookie(header).get(self.cookie)
        except CookieError:
            return False
        return found is not None and hmac.compare_digest(found.value.encode(), self.token.encode())

    def _cookie(self) -> str:
        return f"{self.cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict"


def _with_slashes_kept(scope: Scope) -> Scope:
    """A slash that was encoded is part of a name (of a direction, say) and separates nothing."""
    raw = scope.get("raw_path") or scope["path"].encode()
    if b"%2f" not in raw.lower():
        return scope
    kept = re.sub(b"%2[fF]", quote(SLASH).encode(), raw.partition(b"?")[0])
    return {**scope, "path": unquote(kept.decode("latin-1")), "raw_path": kept}


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine can reach that address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_address(host: str, port: int) -> bool:
    name, _, number = host.rpartition(":")
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return number == str(port)


def _unfit(headers: dict[str, str]) -> tuple[int, str] | None:
    if headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        return 415, "send JSON, with the header content-type: application/json"
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > MOST_BODY:
        return 413, f"a request may hold {MOST_BODY:,} bytes"
    return None


class TooLarge(Exception):
    """A body that was sent in pieces is larger than a request may be."""


class _Limited:
    """A body that does not grow beyond what is allowed, whatever its headers say."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._read = receive, 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._read += len(message.get("body", b""))
        if self._read > MOST_BODY:
            raise TooLarge
        return message


class _Answering:
    """Puts the headers on whatever is answered."""

    def __init__(self, send: Send, cookie: str | None) -> None:
        self._send, self._cookie = send, cookie

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            own = {k.lower() for k, _ in message["headers"]}
            added = [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in own]
            if b"cache-control" not in own:
                added.append((b"cache-control", b"no-store"))
            if self._cookie is not None:
                added.append((b"set-cookie", self._cookie.encode()))
            message["headers"] = [*message["headers"], *added]
        await self._send(message)


async def _refuse(scope: Scope, send: Send, status: int, why: str) -> None:
    if scope["path"].startswith("/api/"):
        body, kind = json.dumps({"error": why}).encode(), b"application/json"
    else:
        body, kind = f"hubel review: {why}\n".encode(), b"text/plain; charset=utf-8"
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
