"""What one process of a killed index does: make an index or a shard of it, or merge shards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import fixtures

if TYPE_CHECKING:
    from ...tools.subject import Subject

Step = dict[str, Any]
"""What a process does: its `out`, and a `shard` or the `parts` to merge, or neither for a whole index."""


def execute(subject: Subject, step: Step) -> None:
    """Do a step in this process."""
    from ...tools.corpus import corpus_from_documents
    from ...tools.index import ExemplarCounts, Shard, build_index, index_shard, merge_shards

    out = Path(step["out"])
    if "parts" in step:
        merge_shards(step["parts"], out)
        return
    corpus = corpus_from_documents("made", fixtures.documents(), "0" * 64)
    settings: Any = {
        "context_len": 16,
        "exemplar_counts": ExemplarCounts(top=(4, 2, 2), pool=(6, 3, 3), sample=(200, 50, 50)),
        "checkpoint_every": 1,
        "store": "all",
        "store_bits": 8,
    }
    if "shard" in step:
        index_shard(subject, corpus, out, Shard.parse(step["shard"]), **settings)
    else:
        build_index(subject, corpus, out, **settings)
