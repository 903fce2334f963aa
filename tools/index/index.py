"""An index opened for reading: what was indexed, and look-ups in explore and select.

Held-out text is not reachable here; see `holdout`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from ..corpus import SPLITS, Contexts, Split
from ..errors import ArgumentError, CorruptError, UsageError
from ..files.regular_file import read_regular
from ..files.sealed_json import check_seal
from ..subject.address import DictionaryShape, Shape, Site, Unit
from .activation_store.layout import DESCRIPTION, StoreOrigin, store_folder
from .activation_store.store import ActivationStore
from .index_files import IndexFiles, files_from_json
from .split_reader import Exemplar, ExemplarKind, SiteStatistics, SplitReader, UnitStatisticsRow

FORMAT = 2
"""Since 2, `index.json` has its own hash and those of all files."""
_READABLE = (1, FORMAT)
_MAX_BYTES = 1 << 28
"""Of `index.json`; that of an index of 1 TB has 80 MB."""


@dataclass(frozen=True)
class IndexSummary:
    """What a pass cost.

    Attributes:
        forward_seconds: time of the same batches without hooks, scaled to all from a few of them.
        total_seconds: time from the first batch to the end, without loading the model and without
            the timing passes.
        peak_rss_mb: of the whole process.
        bytes: size of the index on disk.
    """

    tokens: int
    units: int
    forward_seconds: float
    total_seconds: float
    peak_rss_mb: float
    bytes: int


class NoIndexError(UsageError, FileNotFoundError):
    """There is no index of the name given."""


class Index:
    """An index opened for reading; needs no subject and no torch.

    Attributes:
        directions_sha256: of the vectors of each layer with named directions.
        dictionaries: of each, by name: `source`, `sha256`, and its place and size as in `shape`.
        note: a line for the user about an index without hashes; "" for others.
    """

    def __init__(self, path: Path, content: Mapping[str, Any]) -> None:
        self.path = path
        subject, corpus, shape = content["subject"], content["corpus"], content["shape"]
        self.subject_name: str = subject["name"]
        self.subject_title: str = subject["title"]
        self.subject_revision: str = subject["revision"]
        self.corpus_name: str = corpus["name"]
        self.corpus_title: str = corpus["title"]
        self.corpus_sha256: str = corpus["sha256"]
        self.contexts_sha256: str = content["contexts"]
        self.context_len: int = content["context_len"]
        self.seed: int = content["seed"]
        self.salt: str = content["split"]["salt"]
        self.shares: tuple[int, ...] = tuple(content["split"]["shares"])
        self.sites = tuple(Site(*site) for site in content["sites"])
        neurons = shape["n_neurons"]
        self.directions_sha256: Mapping[str, str] = content.get("directions_sha256") or {}
        self.dictionaries: Mapping[str, Mapping[str, Any]] = content.get("dictionaries", {})
        self.shape = Shape(
            n_layers=shape["n_layers"],
            n_neurons=tuple(neurons) if isinstance(neurons, list) else neurons,
            n_heads=shape["n_heads"],
            directions={int(layer): tuple(names) for layer, names in shape["directions"].items()},
            dictionaries={
                name: DictionaryShape(Site(*of["reads"]), Site(*of["writes"]), of["n_latents"])
                for name, of in self.dictionaries.items()
            },
        )
        self.n_contexts: dict[Split, int] = {
            split: content["n_contexts"][split] for split in SPLITS
        }
        self.versions: dict[str, str] = content["versions"]
        self.summary = IndexSummary(**content["summary"])
        self.note = ""
        hashes = None
        if content["format"] == 1:
            self.note = (
                f"{path}: hashes of its files are not recorded, as an older hubel made it; "
                "damage to them may go unnoticed"
            )
        else:
            hashes = files_from_json(content["files"])
        names = f"--subject {self.subject_name} --corpus {self.corpus_name}"
        cure = f"delete {path} and build it again (hubel index {names} --out ..., as before)"
        self._files = IndexFiles(path, hashes, cure)
        self._stores: dict[Split, ActivationStore] = {}

    @classmethod
    def open(cls, path: Path | str) -> Index:
        """Open an index's folder.

        Raises:
            NoIndexError: there is no folder of that name.
            CorruptError: it does not hold a complete index.
        """
        path = Path(path)
        if not path.exists():
            raise NoIndexError(
                f"no index at {str(path)!r}; "
                f"make one: hubel index --subject S --corpus C --out {path}"
            )
        try:
            index = cls(path, read_description(path))
        except (FileNotFoundError, NotADirectoryError) as error:
            content = "no index"
            if (path / "work").is_dir():
                content = "an unfinished index: repeat the same `hubel index` to finish it"
            raise CorruptError(f"{str(path)!r} holds {content}") from error
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise CorruptError(
                f"{path / 'index.json'} is damaged ({error}); delete {path} and build the index again"
            ) from error
        index._files.check_sizes()
        return index

    def __repr__(self) -> str:
        names = f"{self.subject_name}, {self.corpus_name}"
        return f"Index({str(self.path)!r}, {names}, {self.tokens} tokens)"

    @property
    def tokens(self) -> int:
        """Number of tokens that were read, of all splits."""
        return self.summary.tokens

    @property
    def vocabulary(self) -> list[str]:
        """Each token's text, by id."""
        return self._explore.vocabulary

    def contexts(self, split: Literal["explore", "select"]) -> Contexts:
        """All contexts of a split; a context's number is its row."""
        if split == "explore":
            return self._explore.contexts()
        if split == "select":
            return reader_of(self, "select").contexts()
        raise ArgumentError(
            f"split {split!r} given; explore and select can be read, "
            "holdout is opened by verification only"
        )

    def statistics(self, unit: Unit) -> UnitStatisticsRow:
        """A unit's statistics over explore."""
        return self._explore.statistics(unit)

    def site_statistics(self, site: Site) -> SiteStatistics:
        """The statistics of all units of a site over explore, as arrays."""
        return self._explore.site_statistics(site)

    def exemplars(
        self, unit: Unit, side: Literal["+", "-"] = "+", kind: ExemplarKind = "top", k: int = 8
    ) -> list[Exemplar]:
        """Contexts of explore with a unit's activations; see `SplitReader.exemplars`."""
        return self._explore.exemplars(unit, side, kind, k)

    @cached_property
    def _explore(self) -> SplitReader:
        return reader_of(self, "explore")


def reader_of(index: Index, split: Split) -> SplitReader:
    """The reader of a split's folder; reads holdout too, hence for this package only."""
    return SplitReader(index._files, split, index.shape, index.sites)


def store_of(index: Index, split: Split) -> ActivationStore | None:
    """The activation store of a split, opened once; None where there is none. Reads holdout too.

    Raises:
        CorruptError: it is damaged, or was made from something else than the index.
    """
    if split in index._stores:
        return index._stores[split]
    folder = store_folder(index.path, split)
    if not (folder / DESCRIPTION).exists():
        return None
    store = ActivationStore(folder, reader_of(index, split).contexts().length)
    expected = StoreOrigin(
        index.subject_revision,
        store.origin.dtype,  # an index does not record it; `stored_source` compares it
        index.corpus_sha256,
        index.contexts_sha256,
        split,
    )
    if differing := store.origin.differing(expected):
        raise CorruptError(
            f"{folder} was made from another {differing} than {index.path}; rm -r {folder.parent}"
        )
    index._stores[split] = store
    return store


def read_description(path: Path) -> dict[str, Any]:
    """What `index.json` in an index's folder holds.

    Raises:
        CorruptError: it has another format.
        OSError, ValueError, KeyError, TypeError: there is none, or it is damaged.
    """
    content = json.loads(read_regular(path / "index.json", _MAX_BYTES, inside=path))
    if content["format"] not in _READABLE:
        raise CorruptError(
            f"{path} has index format {content['format']!r}, but this hubel reads "
            f"{' and '.join(map(str, _READABLE))}; build it again"
        )
    if content["format"] != 1:
        check_seal(content)
    return content
