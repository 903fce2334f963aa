"""Which requests the review server accepts, and what a browser may do with its responses.

1. Host: only names that this server was opened under, so that no foreign name can point here (DNS
   rebinding).
2. Origin: a request with an origin must come from a page of this server (cross-site writes).
3. A token, new for each server, is in the first address; then it is a cookie that scripts cannot
   read and other sites cannot send. Static files are not secret and need neither.
4. Writes are JSON and small.
5. Every response, also of an error, forbids all scripts but the server's own files, framing, and
   guessing of types. What is not HTTP is answered by `connections`, with the same headers.
6. A connection whose request is refused is closed. A defect is an answer too, and its traceback is
   printed once.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import re
import secrets
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, unquote, urlsplit

MAX_BODY = 256 << 10
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
"""Replaces an encoded slash while a path is split at slashes: a code point that no text may contain."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Refusal(NamedTuple):
    """Status and message of a request that is not accepted."""

    status: int
    message: str


class Guard:
    """ASGI middleware in front of the application; one for each server."""

    def __init__(
        self, app: App, *, port: int, host: str = "127.0.0.1", token: str | None = None
    ) -> None:
        self.app = app
        self.token = token or secrets.token_urlsafe(24)
        self.cookie = f"hubel-{port}"
        self.hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]", host)}
        self._port = port
        self._open_to_others = not is_loopback(host)
        self._reported: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        token = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        has_token = hmac.compare_digest(token.encode(), self.token.encode())
        send_guarded = _HeaderSender(send, self._cookie() if has_token else None)
        refusal = self._refusal(scope, headers, has_token)
        if refusal is not None:
            await _refuse(scope, send_guarded, *refusal)
            return
        try:
            await self.app(_with_slashes_kept(scope), _LimitedReceiver(receive), send_guarded)
        except Exception as error:  # noqa: BLE001 - printed; other requests go on
            self._report(error)
            if not send_guarded.has_started:
                await _refuse(
                    scope, send_guarded, 500, "a defect of hubel; the terminal shows where"
                )

    def _report(self, error: Exception) -> None:
        """Print a traceback, unless one from the same line was printed."""
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{type(error).__name__} {frame.filename}:{frame.lineno}"
        if place not in self._reported:
            self._reported.add(place)
            traceback.print_exception(error)

    def _refusal(self, scope: Scope, headers: dict[str, str], has_token: bool) -> Refusal | None:
        # 1. host
        if not self._is_own_host(headers.get("host", "")):
            message = "this server is not known under that name; open the address that `hubel review` printed"
            return Refusal(421, message)
        # 2. origin
        origin = headers.get("origin")
        if origin is not None and not self._is_own_origin(origin):
            return Refusal(403, "this request was sent by a page of another site")
        if headers.get("sec-fetch-site") == "cross-site" and scope["method"] not in ("GET", "HEAD"):
            return Refusal(403, "this request was sent by a page of another site")
        # 3. token
        if scope["path"].startswith(STATIC):
            return None
        if not has_token and not self._has_cookie(headers.get("cookie", "")):
            message = "open the address that `hubel review` printed: it holds this server's token"
            return Refusal(401, message)
        # 4. writes
        is_write = scope["method"] not in ("GET", "HEAD", "OPTIONS")
        return _refusal_of_body(headers) if is_write else None

    def _is_own_host(self, host: str) -> bool:
        if host.lower() in self.hosts:
            return True
        # A numeric address, unlike a name, cannot be made to point here by a foreign name server.
        return self._open_to_others and _is_address(host, self._port)

    def _is_own_origin(self, origin: str) -> bool:
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        return parts.scheme == "http" and self._is_own_host(parts.netloc)

    def _has_cookie(self, header: str) -> bool:
        try:
            cookie = SimpleCookie(header).get(self.cookie)
        except CookieError:
            return False
        return cookie is not None and hmac.compare_digest(
            cookie.value.encode(), self.token.encode()
        )

    def _cookie(self) -> str:
        return f"{self.cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict"


def _with_slashes_kept(scope: Scope) -> Scope:
    """An encoded slash is part of a name (of a direction, for example) and does not separate."""
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


def _refusal_of_body(headers: dict[str, str]) -> Refusal | None:
    if headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        return Refusal(415, "send JSON, with the header content-type: application/json")
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > MAX_BODY:
        return Refusal(413, f"a request may have at most {MAX_BODY:,} bytes")
    return None


class TooLarge(Exception):
    """A body that was sent in chunks is larger than a request may be."""


class _LimitedReceiver:
    """Receives a body up to the allowed size, whatever its headers say."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._read = receive, 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._read += len(message.get("body", b""))
        if self._read > MAX_BODY:
            raise TooLarge
        return message


class _HeaderSender:
    """Adds the security headers to every response, and the cookie if there is one."""

    def __init__(self, send: Send, cookie: str | None) -> None:
        self._send, self._cookie = send, cookie
        self.has_started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_started = True
            own = {k.lower() for k, _ in message["headers"]}
            added = [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in own]
            if b"cache-control" not in own:
                added.append((b"cache-control", b"no-store"))
            if self._cookie is not None:
                added.append((b"set-cookie", self._cookie.encode()))
            message["headers"] = [*message["headers"], *added]
        await self._send(message)


async def _refuse(scope: Scope, send: Send, status: int, message: str) -> None:
    if scope["path"].startswith("/api/"):
        body, kind = json.dumps({"error": message}).encode(), b"application/json"
    else:
        body, kind = f"hubel review: {message}\n".encode(), b"text/plain; charset=utf-8"
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
