"""What a circuit run left in its folder, for whoever looks at results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...tools.errors import CorruptError, UsageError
from ..runlog.layout import CIRCUIT


def stored(folder: Path) -> dict[str, Any]:
    """circuit.json of a run; raises UsageError when the run has not come so far."""
    again = f"`hubel resume {folder.name}`"
    try:
        return json.loads((folder / CIRCUIT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{folder.name} is not done; {again} goes on with it") from None
    except json.JSONDecodeError as error:
        raise CorruptError(
            f"{folder / CIRCUIT} cannot be read: {error}; {again} makes it anew"
        ) from None
