"""What explainers, simulators and judges are told: one Markdown file for each prompt.

A file begins with its version and the names that it expects, followed by both parts of a request:

    ---
    version: 1
    expects: explanation, examples
    ---
    # system
    The part that is the same for every unit, so that providers can cache it.
    # user
    {{explanation}} ... {{examples}}

`load("detection")` gives the prompt. Its `sha256` goes into the log with every call, so that a
score names its prompt.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ..tools.errors import CorruptError, UsageError

FOLDER = Path(__file__).parent
_FILE = re.compile(
    r"---\nversion: (?P<version>\d+)\nexpects: (?P<expects>[^\n]*)\n---\n"
    r"# system\n(?P<system>.*?)\n# user\n(?P<user>.*)",
    re.DOTALL,
)
_NAME = re.compile(r"\{\{(\w+)\}\}")


class FilledPrompt(NamedTuple):
    """A prompt with its names filled in."""

    system: str
    user: str


@dataclass(frozen=True)
class Prompt:
    """One prompt file."""

    name: str
    version: int
    expects: frozenset[str]
    system: str
    user: str
    sha256: str
    """Of the file, first 16 hex digits."""

    @property
    def label(self) -> str:
        """``detection@1``."""
        return f"{self.name}@{self.version}"

    def fill(self, **values: object) -> FilledPrompt:
        """The prompt with its names replaced, once: a ``{{name}}`` within a value stays as it is.

        Raises:
            UsageError: a name is missing, or is not in the prompt.
        """
        if set(values) != self.expects:
            names_given, expected = (", ".join(sorted(n)) or "none" for n in (values, self.expects))
            raise UsageError(
                f"prompt {self.label} got the names {names_given}; it expects {expected}"
            )
        return FilledPrompt(_replace(self.system, values), _replace(self.user, values))


def _replace(text: str, values: dict[str, object]) -> str:
    return _NAME.sub(lambda match: str(values[match[1]]), text)


@cache
def load(name: str) -> Prompt:
    """The prompt of that name.

    Raises:
        UsageError: there is none; the message lists the known ones.
        CorruptError: the file is damaged; the message says how.
    """
    path = FOLDER / f"{name}.md"
    if name not in names():
        raise UsageError(f"no prompt {name!r}; known: {', '.join(names())}")
    return parse(name, path.read_text(encoding="utf-8"))


def parse(name: str, text: str) -> Prompt:
    """A prompt from the text of its file; raises CorruptError if it is damaged."""
    match = _FILE.fullmatch(text)
    if match is None:
        raise CorruptError(
            f"prompt {name!r} lacks its head (version, expects) or a part (# system, # user)"
        )
    system, user = match["system"].strip(), match["user"].strip()
    expects = frozenset(name.strip() for name in match["expects"].split(",") if name.strip())
    used = frozenset(_NAME.findall(system + user))
    if used != expects:
        raise CorruptError(
            f"prompt {name!r} uses the names {sorted(used)} "
            f"and says that it expects {sorted(expects)}"
        )
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return Prompt(name, int(match["version"]), expects, system, user, digest)


def names() -> list[str]:
    """The names of all prompts, in alphabetical order."""
    return sorted(path.stem for path in FOLDER.glob("*.md"))
