"""Secrets of this process (API keys, tokens, logins), masked in text that is stored or printed.

1. Secrets are the values of environment variables whose names end like those of keys, the logins
   in addresses (proxies, package indexes), and what a caller adds: the keys that it has just sent.
2. A secret is looked for in pieces of eight characters, so that one that is cut, or split over two
   fields, is found too; and as JSON, URLs and HTML may spell it.

This protects from servers that echo a key into an error or a reply. A server that means to hide the
key in its reply, enciphered or letter by letter, could do so; but it has the key already.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import unquote, urlsplit

MASK = "[secret]"
MIN_LENGTH = 8
"""Shorter values are placeholders such as `none` and `ollama`, and words of any text."""
PIECE = 8
"""Characters of a piece: long enough that no other text holds one, short enough that what is left
at a cut, at most seven characters at each end, is useless."""
PLACEHOLDERS = frozenset(
    {"lm-studio", "not-needed", "not-required", "no-key-required", "sk-no-key-required", "password"}
)
"""Values that people give to local servers where an SDK insists on a key."""

_NAMES = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)
_SECRET_PARAMETER = re.compile(r"key|token|secret|passw|auth|credential|signature|^sig$", re.I)
_LOGIN = re.compile(r"(?<=://)[^/\s@\"'<>]{1,300}@")
_PARAMETER = re.compile(
    r"([?&][^=&\s\"'<>]{0,40}(?:key|token|secret|passw|auth)[^=&\s]{0,40}=)[^&\s\"'<>]+", re.I
)
_SPELLED = re.compile(r"(?:\\{1,4}(?:u00|x)|%(?:25){0,3}|&#x)([2-7][0-9a-f]);?", re.IGNORECASE)


def mask(text: str, also: Iterable[str] = ()) -> str:
    """A text with every secret replaced by ``[secret]``.

    Args:
        also: secrets that are not in the environment.
    """
    secrets = frozenset(filter(_is_secret, (*_environment(), *also)))
    if not secrets:
        return text
    pieces, pattern = _compiled(secrets)
    if any(piece in text for piece in pieces):
        return pattern.sub(MASK, text)
    # Unescaping finds out cheaply whether the slow pattern is needed.
    plain = _SPELLED.sub(lambda match: chr(int(match[1], 16)), text)
    return pattern.sub(MASK, text) if any(piece in plain for piece in pieces) else text


def mask_message(text: str) -> str:
    """A message, for a person or a log, without secrets and without what logs in at an address."""
    return _PARAMETER.sub(rf"\1{MASK}", _LOGIN.sub(f"{MASK}@", mask(text)))


def has_login(address: str) -> bool:
    """Whether a URL holds a user, a password or a key."""
    _, rest = _without_scheme(address)
    place, *query = re.split("[?#]", rest)
    names = re.findall(r"([^=&;]*)=", "&".join(query))
    return "@" in place.partition("/")[0] or any(map(_SECRET_PARAMETER.search, names))


def without_login(address: str) -> str:
    """A URL without user, password and keys, as it may be stored and printed."""
    if not has_login(address):
        return address
    scheme, rest = _without_scheme(address)
    place, slash, path = re.split("[?#]", rest)[0].partition("/")
    return f"{scheme}{place.rpartition('@')[2]}{slash}{path}"


def _without_scheme(address: str) -> tuple[str, str]:
    """The scheme of a URL with its ``://``, or "", and the rest."""
    scheme, separator, rest = address.partition("://")
    return (scheme + separator, rest) if separator else ("", address)


def _is_secret(value: str) -> bool:
    """Whether a value is long enough, and neither a placeholder nor a path to a file."""
    return (
        len(value) >= MIN_LENGTH
        and value.lower() not in PLACEHOLDERS
        and not value.startswith(("/", "./", "~"))
    )


def _environment() -> tuple[str, ...]:
    """Secrets in the environment: values of keys, and what logs in at addresses."""
    values = []
    for name, value in os.environ.items():
        if "://" in value:
            values += _of_address(value)
        elif _NAMES.search(name):
            values.append(value.strip())
    return tuple(values)


@lru_cache(maxsize=64)
def _of_address(address: str) -> tuple[str, ...]:
    """Password, and values of keys, in a URL."""
    try:
        parts = urlsplit(address)
        login, password = f"{parts.username or ''}:{parts.password or ''}", parts.password or ""
    except ValueError:
        return ()
    named = re.findall(r"([^=&]+)=([^&]*)", parts.query)
    values = [value for name, value in named if _SECRET_PARAMETER.search(name)]
    raw = [login if password else "", password, "" if password else parts.username or "", *values]
    return tuple({form for value in raw for form in (value, unquote(value)) if value})


@lru_cache(maxsize=16)
def _compiled(secrets: frozenset[str]) -> tuple[tuple[str, ...], re.Pattern[str]]:
    """All pieces of the secrets, and a pattern of one or more in a row, however they are spelled."""
    pieces = sorted({piece for secret in secrets for piece in _pieces(secret)}, key=len)[::-1]
    spelled = "|".join("".join(map(_spellings, piece)) for piece in pieces)
    return tuple(pieces), re.compile(f"(?:{spelled})+")


def _pieces(secret: str) -> list[str]:
    """Pieces of PIECE characters; the last holds what is left over, too."""
    starts = range(0, len(secret) - PIECE + 1, PIECE)
    return [secret[i : i + PIECE] if i != starts[-1] else secret[i:] for i in starts]


def _spellings(character: str) -> str:
    """A pattern of a character as it is, and as JSON, URLs and HTML may spell it."""
    number = ord(character)
    code = f"(?i:{number:02x})"
    forms = (
        re.escape(character),
        rf"\\{{1,4}}(?:u00|x){code}",
        f"%(?:25){{0,3}}{code}",
        f"&#(?:[xX]{code}|{number});",
    )
    return f"(?:{'|'.join(forms)})"
