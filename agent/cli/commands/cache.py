"""`hubel cache`: where downloads and conversions are kept, how large they are, and how to delete them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ....tools.errors import UsageError
from ....tools.files.sizes import readable_size
from .. import cache_items, output
from ..cache_items import Item
from ..exit_status import DONE, FAILED
from ..parser import closest

NAME = "cache"
HELP = "list what is cached, with sizes; clear it"
STATES = {True: "whole", False: "incomplete; will be made again when needed", None: ""}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The action, and the items that it is for."""
    parser.add_argument(
        "action",
        nargs="?",
        choices=("list", "path", "clear"),
        default="list",
        help="list items (default), print the cache folder, or delete items",
    )
    parser.add_argument(
        "items",
        nargs="*",
        metavar="ITEM",
        help="only these: an item as listed, e.g. subjects/smollm2-135m, or a kind, e.g. review; "
        "the folder of an index elsewhere means its activation store, without which it works",
    )
    parser.add_argument("--verify", action="store_true", help="compare hashes too, not only sizes")
    parser.add_argument("--yes", "-y", action="store_true", help="clear without asking")


def run(args: argparse.Namespace) -> int:
    """List, locate or clear the cache."""
    if args.action == "path":
        path = str(cache_items.cache_dir())
        if args.json:
            output.json_line({"path": path})
        else:
            output.line(path)
        return DONE
    items = _select(cache_items.items(thorough=args.verify), args.items)
    return _clear(items, args) if args.action == "clear" else _list(items, args)


def _list(items: Sequence[Item], args: argparse.Namespace) -> int:
    if args.json:
        for item in items:
            output.json_line(_row(item))
        return DONE
    cells = [
        (item.label, readable_size(item.bytes), STATES[item.whole], item.path) for item in items
    ]
    if cells:
        output.table(("item", "size", "state", "path"), cells, right=("size",))
    output.line(
        f"{cache_items.cache_dir()}: {output.count(len(items), 'item')}, {_total(items)}; "
        "HUBEL_CACHE=DIR uses another folder"
    )
    return DONE


def _clear(items: Sequence[Item], args: argparse.Namespace) -> int:
    """Delete the items, after asking unless --yes was given."""
    total = _total(items)
    if items and not args.yes:
        if not output.interactive():
            number = output.count(len(items), "item")
            output.note(f"hubel: this would delete {number} ({total}); confirm with --yes")
            return FAILED
        labels = ", ".join(item.label for item in items)
        sys.stderr.write(
            f"delete {labels} ({total})? They are fetched or made again when needed. [y/N] "
        )
        sys.stderr.flush()
        if input().strip().lower() not in ("y", "yes"):
            return FAILED
    for item in items:
        cache_items.remove(item)
        if args.json:
            output.json_line(_row(item) | {"deleted": True})
    if not args.json:
        output.line(f"{output.count(len(items), 'item')} deleted, {total} freed")
    return DONE


def _select(items: Sequence[Item], names: Sequence[str]) -> Sequence[Item]:
    """The items of some labels or kinds, or all items.

    Raises:
        UsageError: a name is not in the cache.
    """
    if not names:
        return items
    labels = {item.label for item in items} | {item.kind for item in items}
    elsewhere: list[Item] = []
    for name in names:
        if name in labels:
            continue
        store = cache_items.store_item(Path(name), name)
        if store is None:
            holds = f"{name!r} holds no activation store, and " if Path(name).is_dir() else ""
            raise UsageError(
                f"{holds}nothing in the cache is called {name!r}{closest(name, labels)}; "
                "`hubel cache` lists it"
            )
        elsewhere.append(store)
    chosen = [item for item in items if {item.label, item.kind} & set(names)]
    folders = {item.path for item in chosen}
    # An index goes with its store.
    stores = [s for s in items if s not in chosen and s.path.parent in folders]
    return stores + chosen + elsewhere


def _total(items: Sequence[Item]) -> str:
    return readable_size(sum(item.bytes for item in items))


def _row(item: Item) -> dict[str, object]:
    return {"item": item.label, "bytes": item.bytes, "whole": item.whole, "path": str(item.path)}
