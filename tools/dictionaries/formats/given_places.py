"""Where a dictionary reads and writes: what its files say, or what the caller gave instead."""

from __future__ import annotations

from typing import NamedTuple

from ...errors import UsageError
from ...subject.address import Site


class GivenPlaces(NamedTuple):
    """Places from the caller; None where the files' own are meant."""

    reads: Site | None = None
    writes: Site | None = None

    def resolve(
        self, where: str, stated: Site | None, stated_output: Site | None, *, transcodes: bool
    ) -> tuple[Site, Site]:
        """Where it reads and where it writes.

        Args:
            where: the files, for the message.
            stated: where they say that it reads; `stated_output`: where a transcoder writes.

        Raises:
            UsageError: neither the files nor the caller say where it reads.
        """
        reads = self.reads or stated
        if reads is None:
            raise UsageError(
                f"{where} does not say where the dictionary reads; give it, e.g. --at stream.12 or "
                "--at mlp_out.3"
            )
        if not transcodes:
            return reads, reads
        if self.reads is not None or stated_output is None:
            return reads, self.writes or _output_of(reads)
        return reads, self.writes or stated_output


def _output_of(reads: Site) -> Site:
    """Where a transcoder writes, by where it reads: the MLP's output, or the next layer's stream."""
    if reads.kind == "stream":
        return Site("stream", reads.layer + 1)
    return Site("mlp_out", reads.layer)
