"""`hubel cache`: where fetched and converted things are, how large, and how to be rid of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .. import cache_items, output
from ..exit_status import DONE, FAILED
from ..parser import closest

NAME = "cache"
HELP = "list what is cached, with sizes; clear it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=("list", "path", "clear"), default="list")
    parser.add_argument(
        "items",
        nargs="*",
        metavar="ITEM",
        help="clear only these (as listed, e.g. subjects/smollm2-135m; review: all of that kind)",
    )
    parser.add_argument("--verify", action="store_true", help="compare hashes too, not only sizes")
    parser.add_argument("--yes", "-y", action="store_true", help="clear without asking")


def run(args: argparse.Namespace) -> int:
    if args.action == "path":
        _path(args)
        return DONE
    found = _chosen(cache_items.items(thorough=args.verify), args.items)
    if args.action == "clear":
        return _clear(found, args)
    return _list(found, args)


def _path(args: argparse.Namespace) -> None:
    path = str(cache_items.cache_dir())
    if args.json:
        output.json_line({"path": path})
    else:
        output.line(path)


def _list(found: Sequence[cache_items.Item], args: argparse.Namespace) -> int:
    if args.json:
        for item in found:
            output.json_line(_row(item))
        return DONE
    rows = [(label(item), output.size(item.bytes), _state(item), item.path) for item in found]
    if rows:
        output.table(("item", "size", "state", "path"), rows, right=("size",))
    total = output.size(sum(item.bytes for item in found))
    output.line(
        f"{cache_items.cache_dir()}: {len(found)} items, {total}; elsewhere with HUBEL_CACHE=DIR"
    )
    return DONE


def _clear(found: Sequence[cache_items.Item], args: argparse.Namespace) -> int:
    total = output.size(sum(item.bytes for item in found))
    if found and not args.yes:
        if not output.interactive():
            sys.stderr.write(
                f"hubel: {len(found)} items ({total}) would be deleted; say so with --yes\n"
            )
            return FAILED
        sys.stderr.write(
            f"delete {', '.join(map(label, found))} ({total})? They are fetched again when needed. [y/N] "
        )
        sys.stderr.flush()
        if input().strip().lower() not in ("y", "yes"):
            return FAILED
    for item in found:
        cache_items.remove(item)
        if args.json:
            output.json_line(_row(item) | {"deleted": True})
    if not args.json:
        output.line(f"{len(found)} items deleted, {total} free again")
    return DONE


def _chosen(found: list[cache_items.Item], names: Sequence[str]) -> list[cache_items.Item]:
    from ....tools.errors import UsageError

    known = {name for item in found for name in (label(item), item.kind)}
    for name in names:
        if name not in known:
            raise UsageError(
                f"nothing in the cache is called {name!r}{closest(name, known)}; `hubel cache` lists it"
            )
    return [item for item in found if not names or {label(item), item.kind} & set(names)]


def label(item: cache_items.Item) -> str:
    """``subjects/smollm2-135m``: how an item is listed and named."""
    return item.kind if item.kind == item.name else f"{item.kind}/{item.name}"


def _state(item: cache_items.Item) -> str:
    return {True: "whole", False: "cut short; made anew at its next use", None: ""}[item.whole]


def _row(item: cache_items.Item) -> dict[str, object]:
    return {"item": label(item), "bytes": item.bytes, "whole": item.whole, "path": str(item.path)}
