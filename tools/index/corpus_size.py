"""What a small corpus can show, said before hours are spent on it."""

from __future__ import annotations

from ..corpus import SPLITS, Contexts

VERDICT_DOCUMENTS = 10
"""Holdout documents below which every verdict is inconclusive (the contract)."""
ADVISED_DOCUMENTS = 30
"""Holdout documents below which an interval over documents mostly includes both r 0 and r 0.4: it
is about two over the square root of their number to each side."""


def small_corpus_warning(contexts: Contexts) -> str:
    """A line about a corpus that is too small; "" for others. Near-duplicates count once."""
    documents, counts = {}, []
    for number, split in enumerate(SPLITS):
        documents[split] = len({row.group for row in contexts.documents if row.split == split})
        n_contexts = int((contexts.split == number).sum())
        counts.append(f"{split} {documents[split]} ({n_contexts} contexts)")
    holdout = documents["holdout"]
    if holdout >= ADVISED_DOCUMENTS and documents["select"]:
        return ""
    if holdout < VERDICT_DOCUMENTS:
        effect = (
            f"with fewer than {VERDICT_DOCUMENTS} in holdout no explanation can be kept or "
            "rejected: every verdict will be inconclusive"
        )
    elif not documents["select"]:
        effect = "without any in select, hypotheses cannot be compared"
    else:
        effect = (
            f"with fewer than {ADVISED_DOCUMENTS} in holdout intervals are wide, and most "
            "verdicts will be inconclusive"
        )
    needed = 10 * ADVISED_DOCUMENTS // 3  # three in ten go to holdout
    return (
        f"a small corpus, documents by split: {', '.join(counts)}; {effect}. "
        f"Give {needed} different documents or more"
    )
