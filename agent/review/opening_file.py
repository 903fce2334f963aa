"""Open the page in a browser without its token in the browser's command line.

All users of a machine can see the command lines of all processes. So the browser is given a local
file that only its owner can read, and which leads to the page.
"""

from __future__ import annotations

import os
import tempfile
import threading
import webbrowser
from collections.abc import Callable
from html import escape
from pathlib import Path

KEPT_S = 60.0
"""Seconds in which a browser must have read the file."""


def open_page(
    address: str, folder: Path, browse: Callable[[str], object] = webbrowser.open
) -> Callable[[], None]:
    """Open an address in a browser; returns what removes the file, which happens in a minute anyway.

    Args:
        folder: where the file is written if that is possible. A temporary folder would not do: a
            browser that is installed as a snap has its own.
    """
    is_usable = folder.is_dir() and os.access(folder, os.W_OK)
    descriptor, name = tempfile.mkstemp(".html", "open-page-", folder if is_usable else None)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:  # mkstemp lets only the owner read
        file.write(
            '<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer">'
            f'<meta http-equiv="refresh" content="0;url={escape(address)}"><title>hubel</title>\n'
        )
    path = Path(name).resolve()

    def remove() -> None:
        path.unlink(missing_ok=True)

    timer = threading.Timer(KEPT_S, remove)
    timer.daemon = True
    timer.start()
    browse(path.as_uri())
    return remove
