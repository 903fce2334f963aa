"""What commands write to standard output: JSON lines for programs, tables for people.

Everything that commands write goes through here. Text of a corpus, a vocabulary or a server is
untrusted, and a terminal would obey its escape sequences; keys do not belong on a screen.
"""

from __future__ import annotations

import codecs
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...tools.files.secrets import mask, mask_message
from ...tools.files.untrusted_text import escape_control, printable, printable_json

WIDE = 10_000
"""Width of tables when standard output is not a terminal: each row stays on one line, for grep."""
RULE = 80
"""Length of the line under the head of such a table, whose own would be as long as the longest row."""


def prepare_streams() -> None:
    """Let any text be written whatever the terminal's encoding, and also if nobody reads it.

    A character that the encoding does not have becomes its escape. A closed stream, which Python
    gives as None, becomes one that forgets.
    """
    for name in ("stdout", "stderr"):
        stream: Any = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  as long as the process
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _writes_utf8() -> bool:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return codecs.lookup(encoding).name == "utf-8"


def json_line(value: Mapping[str, Any]) -> None:
    """Write one JSON object on one line; an unknown value must be null, NaN is refused.

    Where standard output is not UTF-8, as JSON is, characters beyond ASCII are escaped.
    """
    text = json.dumps(value, ensure_ascii=not _writes_utf8(), allow_nan=False)
    sys.stdout.write(printable_json(text) + "\n")


def line(text: str = "") -> None:
    """Write one line of text."""
    sys.stdout.write(f"{printable(text)}\n")


def note(text: str) -> None:
    """Write a message and a line end to standard error."""
    sys.stderr.write(f"{printable(mask_message(text))}\n")


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str = "",
    right: Sequence[str] = (),
) -> None:
    """Write a table; None becomes a dash.

    In a pipe each row is one line, as long as its own last cell: long text belongs in the last column.

    Args:
        right: names of the columns that are aligned right.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDE, highlight=False)
    view = Table(
        box=SIMPLE_HEAD,
        title=Text(escape_control(title)) if title else None,
        title_justify="left",
        pad_edge=False,
    )
    for column in columns:
        view.add_column(
            Text(column), justify="right" if column in right else "left", no_wrap=column in right
        )
    for row in rows:
        view.add_row(
            *(Text("-" if cell is None else escape_control(mask(str(cell)))) for cell in row)
        )
    with console.capture() as captured:
        console.print(view)
    for row in captured.get().strip("\n").splitlines():
        # Drawn in ASCII where the encoding has no lines.
        is_rule = not sys.stdout.isatty() and not row.strip(" ─+-|") and row[1:3] in ("──", "--")
        sys.stdout.write((row[:RULE] if is_rule else row).rstrip() + "\n")


def two_decimals(value: float | None) -> str | None:
    """``0.41``; None, which a table shows as a dash, stays None."""
    return None if value is None else f"{value:.2f}"


def count(n: int, noun: str) -> str:
    """``1 target``, ``2 targets``."""
    return f"{n} {noun}{'s' * (n != 1)}"


def interactive() -> bool:
    """Whether a question can be asked: both ends are a terminal."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()
