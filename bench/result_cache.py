"""Results of a bench that are kept as they are made, so that a bench may be stopped at any time and
goes on there.

One small file a result in the cache, named after everything that it depends on: the code of the
folders that it comes from, and whatever the bench adds (program, difficulty, seed, method). Other
code or another seed has other names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..tools.files import atomic_file, cache_dir


class ResultCache:
    """The results of one bench.

    Args:
        bench: its name, that of its folder in the cache.
        code: digest of the code that results depend on.
    """

    def __init__(self, bench: str, code: str, root: Path | None = None) -> None:
        self.folder, self._code = (root or cache_dir()) / "bench" / bench, code

    def get(self, *parts: object) -> dict[str, Any] | None:
        """What was kept for these parts of a name; None if nothing was."""
        try:
            return json.loads(self._path(parts).read_text(encoding="utf-8"))["result"]
        except FileNotFoundError:
            return None

    def or_make(self, make: Callable[[], dict[str, Any]], *parts: object) -> dict[str, Any]:
        """What was kept, or else what `make` gives, which is kept."""
        found = self.get(*parts)
        if found is None:
            found = make()
            path = self._path(parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(path) as part:
                part.write_text(
                    json.dumps({"of": [str(each) for each in parts], "result": found}),
                    encoding="utf-8",
                )
        return found

    def _path(self, parts: Iterable[object]) -> Path:
        name = json.dumps([self._code, *map(str, parts)])
        return self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.json"


def code_digest(*folders: Path) -> str:
    """SHA-256 of the Python files of some folders, those of folders within them included."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            digest.update(
                path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0"
            )
    return digest.hexdigest()
