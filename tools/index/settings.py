"""What determines the content of an index, and whether a folder holds an index of just that."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from ..corpus import SALT, SHARES, Contexts, Corpus
from ..errors import CorruptError, UsageError
from ..files.sealed_json import read_sealed, write_sealed
from ..subject.address import Shape, Site
from .batch_plan import BATCH, batch_rows
from .index import FORMAT, IndexSummary, read_description

if TYPE_CHECKING:  # the merge of shards loads no torch
    from torch import Tensor

    from ..subject.latents import Latents
    from ..subject.subject import Subject

VECTORS = "directions_sha256"
"""The setting with the hash of each layer's directions."""
BATCHES = "contexts_of_a_batch"
"""The setting with how many long contexts are read together."""
DICTIONARIES = "dictionaries"
"""The setting with each dictionary's place, size and hash."""


def index_settings(
    subject: Subject,
    corpus: Corpus,
    contexts: Contexts,
    sites: Sequence[Site],
    seed: int,
    counts: dict[str, Any],
) -> dict[str, Any]:
    """Everything that determines the content of an index, as it is read back from JSON."""
    settings = {
        "format": FORMAT,
        "subject": {"name": subject.name, "title": subject.title, "revision": subject.revision},
        "corpus": {"name": corpus.name, "title": corpus.title, "sha256": corpus.sha256},
        "split": {"salt": SALT, "shares": list(SHARES)},
        "context_len": int(contexts.tokens.shape[1]),
        "contexts": _fingerprint(contexts),
        "seed": seed,
        "budget": counts,
        "sites": [site_to_json(site) for site in sites],
        "shape": shape_to_json(subject.shape),
    }
    vectors = {s.layer: subject.basis(s.layer) for s in sites if s.kind == "resid"}
    if vectors:
        settings[VECTORS] = {str(layer): vectors_sha256(of) for layer, of in vectors.items()}
    if (of_a_batch := batch_rows(contexts)) < BATCH:
        settings[BATCHES] = of_a_batch
    if dictionaries := [subject.dictionaries[site.name] for site in sites if site.kind == "sae"]:
        settings[DICTIONARIES] = {of.name: dictionary_to_json(of) for of in dictionaries}
    return json.loads(json.dumps(settings))


def vectors_sha256(vectors: Float[Tensor, "direction width"]) -> str:
    """The hash of a layer's directions, in the order of their columns."""
    return hashlib.sha256(vectors.float().cpu().contiguous().numpy().tobytes()).hexdigest()


def dictionary_to_json(dictionary: Latents) -> dict[str, Any]:
    """What an index records of a dictionary."""
    return {
        "reads": list(dictionary.reads),
        "writes": list(dictionary.writes),
        "n_latents": dictionary.n_latents,
        "sha256": dictionary.sha256,
        "source": dictionary.source,
    }


def site_to_json(site: Site) -> list[str | int]:
    """A site as it is written in `index.json`; only that of a dictionary has a name."""
    return list(site if site.name else site[:2])


def shape_to_json(shape: Shape) -> dict[str, Any]:
    """A shape as it is described in `index.json`."""
    return {
        "n_layers": shape.n_layers,
        "n_neurons": shape.n_neurons,
        "n_heads": shape.n_heads,
        "directions": {str(layer): list(names) for layer, names in shape.directions.items()},
    }


def _fingerprint(contexts: Contexts) -> str:
    digest = hashlib.sha256()
    for array in (contexts.tokens, contexts.length, contexts.document, contexts.split):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def claim_folder(out: Path, settings: dict[str, Any]) -> IndexSummary | None:
    """Begin or resume an index; returns the summary of one that is finished.

    Raises:
        UsageError: the folder holds something else.
    """
    finished, begun = out / "index.json", out / "work" / "settings.json"
    for path in (finished, begun):
        if not path.exists():
            continue
        try:
            content = read_description(out) if path == finished else read_sealed(path)
            # A finished index of an older format is as good as a new one, and older ones do not
            # record the vectors of directions, nor how many contexts were read together.
            content.setdefault(VECTORS, settings.get(VECTORS))
            if path == finished:
                content.setdefault(BATCHES, settings.get(BATCHES))
            elif BATCHES in settings:  # begun by a version with other batches
                content.setdefault(BATCHES, 0)
            present = {key: content[key] for key in settings} | {"format": FORMAT}
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise CorruptError(
                f"{path} is damaged ({error}); delete {out} and build the index again"
            ) from error
        if present != settings:
            differing = ", ".join(key for key in settings if present[key] != settings[key])
            raise UsageError(
                f"{out} holds an index of another {differing}; give another --out, or delete it"
            )
        if path != finished:
            return None
        shutil.rmtree(begun.parent, ignore_errors=True)  # if killed before it was deleted
        return IndexSummary(**content["summary"])
    # If killed before the settings were written, there is an unfinished file of them.
    unfinished = out / "work", *begun.parent.glob(f".{begun.name}.*")
    if out.exists() and any(path not in unfinished for path in out.rglob("*")):
        raise UsageError(f"{out} holds other files; give a new folder for the index")
    begun.parent.mkdir(parents=True, exist_ok=True)
    write_sealed(begun, settings)
    return None
