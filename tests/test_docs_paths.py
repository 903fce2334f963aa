"""Paths of this repository that the documentation names exist."""

from __future__ import annotations

import re
from pathlib import Path

import hubel

ROOT = Path(hubel.__file__).parent
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
HISTORY = ROOT / "CHANGELOG.md"
"""Says what was, and may name what is gone."""
PATH = re.compile(r"`((?:agent|bench|docs|evals|prompts|tests|tools)/[\w./-]*)`")


def test_paths_in_the_documentation_exist() -> None:
    missing = [
        f"{page.relative_to(ROOT)}: {path}"
        for page in PAGES
        if page != HISTORY
        for path in PATH.findall(page.read_text(encoding="utf-8"))
        if not ((ROOT / path).exists() or (ROOT / f"{path}.py").exists())
    ]
    assert len(PAGES) > 10
    assert not missing
