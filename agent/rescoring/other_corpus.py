"""The targets' activations on another corpus, kept in the run's folder.

Does an explanation hold there? All of the other corpus counts as unseen text: the explainer looked
only at the run's own explore and select splits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...tools.corpus import Contexts, make_contexts, read_corpus
from ...tools.errors import UsageError
from ...tools.files import atomic_file
from ...tools.files.regular_file import make_inside
from ...tools.index import Collected
from ...tools.index.float16_range import LARGEST
from ...tools.subject.address import Unit
from ..runlog.data_files import check_file, is_whole
from ..runlog.layout import TRANSFER
from ..runlog.progress import Reporter

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ...tools.subject import Subject

CONTEXTS_PER_PASS = 32


def collect_on_corpus(
    corpus_name: str,
    folder: Path,
    units: Sequence[Unit],
    subject: Subject,
    *,
    context_len: int,
    max_contexts: int,
    seed: int,
    reporter: Reporter,
    record: Callable[[str], None],
) -> Collected:
    """Activations of units on up to `max_contexts` random contexts of a corpus, computed once.

    Args:
        record: writes down the hash of a file in the run's folder.

    Raises:
        CorruptError: what was collected before has changed since.
        UsageError: the corpus cannot be read, or has no context of two tokens.
    """
    corpus = read_corpus(corpus_name)
    names = [str(unit) for unit in dict.fromkeys(unit.unsided for unit in units)]
    title = f"{Path(corpus.name).name}-{corpus.sha256[:8]}-{max_contexts}"
    name = f"{TRANSFER}/{re.sub(r'[^A-Za-z0-9.-]+', '-', title)}.safetensors"
    path = folder / name
    make_inside(path.parent, folder)
    if path.exists() and is_whole(folder, name):
        check_file(folder, name)
        stored = Collected(path)
        if set(names) <= set(stored.targets):
            return stored
    contexts = make_contexts(
        corpus.documents,
        lambda text: subject.tokenize(text).ids,
        context_len,
        max_tokens=8 * max_contexts * context_len,  # enough to draw from without reading it all
    )
    usable = np.flatnonzero(contexts.length > 1)
    if not len(usable):
        raise UsageError(f"corpus {corpus_name!r} has no context of two tokens")
    rows = np.sort(np.random.default_rng(seed).permutation(usable)[:max_contexts])
    _write(path, names, contexts, rows, _activations(subject, names, contexts, rows, reporter))
    record(name)
    return Collected(path)


def _activations(
    subject: Subject,
    names: Sequence[str],
    contexts: Contexts,
    rows: Int[np.ndarray, " rows"],
    reporter: Reporter,
) -> Float[np.ndarray, "names rows seq"]:
    """Every unit's activation at every token; 0 where a context is shorter than the longest."""
    import torch

    units = [Unit.parse(name) for name in names]
    activations = np.zeros((len(names), len(rows), contexts.tokens.shape[1]), dtype=np.float16)
    for start in range(0, len(rows), CONTEXTS_PER_PASS):
        batch = rows[start : start + CONTEXTS_PER_PASS]
        ids = torch.tensor(contexts.tokens[batch].astype(np.int64))
        values = subject.unit_activations(ids, units).float().cpu().numpy()
        is_token = np.arange(ids.shape[1]) < contexts.length[batch][:, None]
        values = np.where(is_token, values, 0.0)
        # Position 0 does not count; elsewhere what float16 cannot hold becomes infinite, which
        # `Collected` refuses.
        values[..., 0] = np.clip(values[..., 0], -LARGEST, LARGEST)
        with np.errstate(over="ignore"):
            activations[:, start : start + len(batch)] = values
        reporter.update("read the other corpus", start + len(batch), len(rows), unit="contexts")
    return activations


def _write(
    path: Path,
    names: list[str],
    contexts: Contexts,
    rows: Int[np.ndarray, " rows"],
    activations: Float[np.ndarray, "names rows seq"],
) -> None:
    """Write activations on a corpus in the format that `tools.index.Collected` opens."""
    from safetensors.numpy import save_file

    arrays = {
        "activations": activations,
        "tokens": contexts.tokens[rows].astype(np.int32),
        "length": contexts.length[rows].astype(np.int32),
        "document": contexts.document[rows].astype(np.int32),
        "group": np.array([row.group for row in contexts.documents], np.int32)[
            contexts.document[rows]
        ],
        "context": rows.astype(np.int32),
    }
    with atomic_file(path) as partial:
        save_file(arrays, partial, metadata={"collected": json.dumps({"targets": names})})
