"""Files that are the same in two places."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def link_or_copy(source: Path, path: Path) -> None:
    """Make `path` the file `source`: a link, or a copy where links are not possible."""
    path.unlink(missing_ok=True)
    try:
        os.link(source, path)
    except OSError:
        shutil.copyfile(source, path)
