"""The HTTP transport of both SDKs, which protects them from a hostile or broken server.

1. A redirect to another scheme, host or port is not followed: that server would get the key.
2. Loopback hosts are reached directly; the environment's proxies serve all others.
3. One attempt has one deadline and one limit of bytes for everything: connecting, informational
   responses, headers, redirects, bodies. Sockets are metered, not single reads.
4. A body is decompressed piece by piece, up to the largest size, and handed on whole.
5. Secrets in what the server sends are masked before anything else sees them.

The SDKs get a client of httpx2, the library that both send with.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from ipaddress import ip_address
from socket import SO_KEEPALIVE, SOL_SOCKET, gethostname, inet_aton
from typing import Any
from urllib.request import getproxies, proxy_bypass

import httpcore2
import httpx2

from ...tools.errors import UsageError
from ...tools.files.secrets import mask
from ...tools.files.untrusted_text import escape_control
from .errors import OversizedReply, Rejected
from .reply_limits import MAX_BYTES

EXTRA_BYTES = 1 << 20
"""What a server may send in one attempt besides the body: headers, redirects."""
MAX_REDIRECTS = 3
LIMITS = httpx2.Limits(max_connections=1000, max_keepalive_connections=100)
"""As in both SDKs: how many investigations run side by side is limited elsewhere."""
WRITTEN_AT_ONCE = 4096
"""Bytes; the deadline is checked between such pieces, for servers that hardly read."""
_LIMITS = "hubel.limits"
_SENT_SECRETS = ("authorization", "x-api-key", "api-key", "proxy-authorization")
"""Request headers that log in."""
_LEFT_OUT = ("content-encoding", "content-length", "transfer-encoding", "set-cookie")
"""Response headers that are no longer true of the body, or that are for browsers."""


@dataclass
class AttemptLimits:
    """The time, bytes and redirects that one attempt has left."""

    where: str
    deadline: float
    """On the clock of `time.monotonic`."""
    max_bytes: int = MAX_BYTES
    """Of a body."""
    n_bytes: int = MAX_BYTES + EXTRA_BYTES
    redirects: int = MAX_REDIRECTS

    def seconds(self, timeout: float | None) -> float:
        """The timeout of one operation: at most the time that is left."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout("the time of this attempt is over")
        return left if timeout is None else min(left, timeout)

    def take(self, n: int) -> None:
        """Count bytes that arrived; raises OversizedReply."""
        self.n_bytes -= n
        if self.n_bytes < 0:
            raise _oversized(self.where, self.max_bytes)


_current = threading.local()
"""The limits of the attempt that this thread makes; a blocking client works in one thread."""


def make_http_client(
    url: str, where: str, timeout_s: float, max_bytes: int = MAX_BYTES
) -> httpx2.Client:
    """The HTTP client of an SDK for one server.

    Args:
        where: the server's address for messages, without login.
        timeout_s: of one attempt, with its redirects.
        max_bytes: of a body, decompressed.
    """
    transport = ServerTransport(httpx2.URL(url), where, timeout_s, max_bytes)
    return ClosingClient(transport=transport, timeout=timeout_s, follow_redirects=True)


class ClosingClient(httpx2.Client):
    """A client that closes its connections when it is garbage-collected, as the SDKs' own do."""

    def __del__(self) -> None:
        if not self.is_closed:
            self.close()


class ServerTransport(httpx2.BaseTransport):
    """Sends the requests of one client to one server.

    Args:
        address: the server's base URL.
        timeout_s: of one attempt, with its redirects.
        max_bytes: of a body, decompressed.
    """

    def __init__(
        self, address: httpx2.URL, where: str, timeout_s: float, max_bytes: int = MAX_BYTES
    ) -> None:
        self._where, self._timeout_s, self._max_bytes = where, timeout_s, max_bytes
        proxy = environment_proxy(address)
        try:
            inner = httpx2.HTTPTransport(
                proxy=proxy, limits=LIMITS, socket_options=[(SOL_SOCKET, SO_KEEPALIVE, 1)]
            )
        except (ImportError, ValueError, httpx2.InvalidURL) as error:
            raise UsageError(
                f"the proxy that the environment names for {where} cannot be used: "
                f"{mask(str(error))}; correct it, or list the host in NO_PROXY"
            ) from None
        # httpx2 has no argument for the backend. Tests of dripping servers hold this line.
        inner._pool._network_backend = _MeteredBackend()  # pyright: ignore[reportPrivateUsage]
        self._inner = inner

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """The whole response, or an error."""
        # httpx2 hands the extensions on to the request that follows a redirect.
        limits = request.extensions.setdefault(
            _LIMITS,
            AttemptLimits(
                self._where,
                time.monotonic() + self._timeout_s,
                self._max_bytes,
                self._max_bytes + EXTRA_BYTES,
            ),
        )
        _current.limits = limits
        response = self._inner.handle_request(request)
        try:
            content = _body(response, self._where, self._max_bytes)
        finally:
            response.close()
        if response.has_redirect_location:
            self._check_redirect(request.url, response.headers["location"], limits)
        return _masked(response, content, _secrets_of(request))

    def close(self) -> None:
        """Close all connections."""
        self._inner.close()

    def _check_redirect(self, url: httpx2.URL, location: str, limits: AttemptLimits) -> None:
        try:
            target = url.join(location)
            origin = f"{target.scheme}://{target.netloc.decode('ascii', 'replace')}"
            same = _origin(target) == _origin(url)
        except (httpx2.InvalidURL, ValueError):
            origin, same = "an address that cannot be read", False
        if not same:
            shown = escape_control(mask(origin))[:200]
            raise Rejected(
                f"{self._where} redirects to {shown}. Redirects to another server are not followed, "
                "since it would get the key; if you trust it, give its address with --base-url"
            )
        limits.redirects -= 1
        if limits.redirects < 0:
            raise Rejected(
                f"{self._where} redirects more than {MAX_REDIRECTS} times; is --base-url right?"
            )


def environment_proxy(address: httpx2.URL) -> str | None:
    """The proxy that the environment names for an address; None for loopback."""
    if is_this_machine(address.host) or proxy_bypass(address.host):
        return None
    proxies = getproxies()
    proxy = proxies.get(address.scheme) or proxies.get("all")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def is_this_machine(host: str) -> bool:
    """Whether a connection to a host, in any spelling of its address, reaches this machine."""
    name = host.strip("[]").rstrip(".").lower()
    if name in ("localhost", "localhost.localdomain", "ip6-localhost", gethostname().lower()):
        return True
    if name.endswith(".localhost"):
        return True
    try:
        address = ip_address(name.partition("%")[0])
    except ValueError:
        try:  # 127.1, 0x7f000001 and 2130706433 are 127.0.0.1 too
            address = ip_address(inet_aton(name))
        except (OSError, ValueError):
            return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped.is_loopback or mapped.is_unspecified


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)


def _oversized(where: str, max_bytes: int) -> OversizedReply:
    return OversizedReply(
        f"{where} sends more than {max_bytes >> 20} MiB in one reply, which no model's answer takes"
    )


def _body(response: httpx2.Response, where: str, max_bytes: int) -> bytes:
    """The decompressed body. The decoders of httpx2 give pieces of at most 1 MiB."""
    body = bytearray()
    for piece in response.iter_bytes():
        body += piece
        if len(body) > max_bytes:
            raise _oversized(where, max_bytes)
    return bytes(body)


def _secrets_of(request: httpx2.Request) -> list[str]:
    """Keys and passwords of a request: the values of such headers, without "Bearer" or "Basic"."""
    values = [request.headers[name] for name in _SENT_SECRETS if name in request.headers]
    return [value.rpartition(" ")[2] for value in values]


def _masked(response: httpx2.Response, content: bytes, secrets: list[str]) -> httpx2.Response:
    """The response as UTF-8 without secrets, and without the server's own words for its status."""
    try:
        text = content.decode(json.detect_encoding(content), "surrogatepass")
    except UnicodeDecodeError:
        text = content.decode("utf-8", "replace")
    headers: list[tuple[str, Any]] = [
        (name, mask(value, secrets).encode("utf-8", "replace"))
        for name, value in response.headers.multi_items()
        if name.lower() not in (*_LEFT_OUT, "content-type")
    ]
    media = response.headers.get("content-type", "application/json").partition(";")[0].strip()
    headers.append(("content-type", f"{media[:80]}; charset=utf-8".encode("ascii", "replace")))
    masked = mask(text, secrets).encode("utf-8", "replace")
    return httpx2.Response(response.status_code, headers=headers, content=masked)


class _MeteredBackend(httpcore2.NetworkBackend):
    """Connections that are charged to the current attempt."""

    def __init__(self) -> None:
        self._inner = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore2.NetworkStream:
        timeout = _current.limits.seconds(timeout)
        stream = self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        return _MeteredStream(stream)

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(_current.limits.seconds(seconds))


class _MeteredStream(httpcore2.NetworkStream):
    """One connection; each operation has the time that is left of the attempt."""

    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        received = self._inner.read(max_bytes, _current.limits.seconds(timeout))
        _current.limits.take(len(received))
        return received

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), WRITTEN_AT_ONCE):
            part = buffer[start : start + WRITTEN_AT_ONCE]
            self._inner.write(part, _current.limits.seconds(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        timeout = _current.limits.seconds(timeout)
        return _MeteredStream(self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
