"""A dictionary as a user names it on the command line; needs no torch."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import UsageError


class NamedSource(NamedTuple):
    """A dictionary as a user names it: `NAME=PATH`; the source is a folder, a file or a hub name."""

    name: str
    source: str

    @classmethod
    def parse(cls, text: str) -> NamedSource:
        """Read `NAME=PATH`; raises UsageError for anything else."""
        name, equals, source = text.partition("=")
        if not (name and equals and source):
            raise UsageError(
                f"--dictionary {text!r} given; expected NAME=PATH, such as res=sae/blocks.12"
            )
        return cls(name, source)
