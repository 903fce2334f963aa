"""Every value that a run shows, changed one at a time: is it noticed?

1. Each leaf of each event, and each setting of `config.toml`, is changed alone, and the hashes stay. The
   chain must notice every change.
2. A leaf is changed and the whole chain and seal are written again (`forge`), so that only a replay can
   notice it, if it computes the value again. One leaf of every kind is tried: the same key of two events
   is one kind. What no replay noticed is listed: only hashes protect it.
"""

from __future__ import annotations

import random
import shutil
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import tomli_w

from ...agent.run.replay import replay
from ...agent.run.verify_run import verify_run
from ...agent.runlog.layout import CONFIG
from ...agent.runlog.log import Event, read_events
from ...agent.runlog.segments import canonical, read_segment
from ...tools.errors import HubelError
from .fixtures import make_soak_run, targets
from .forge import forge
from .kill_runs import soak_server

KeyPath = tuple[str | int, ...]
BOOKKEEPING = ("file", "sealed")
"""Events that `forge` writes itself, with the hashes of the changed run."""


@dataclass
class EditTally:
    """Counts over all edits. `unnoticed` and `computed_unnoticed` must be 0."""

    edits: int = 0
    """Changes that leave the hashes as they are."""
    unnoticed: int = 0
    forged: int = 0
    """Changes with new hashes everywhere."""
    forged_noticed: dict[str, int] = field(default_factory=dict)
    """Number of kinds of leaves of each event that a replay noticed."""
    forged_unnoticed: dict[str, int] = field(default_factory=dict)
    """The same for those that only the hashes protect."""
    only_hashed: list[str] = field(default_factory=list)
    """Names of the kinds in `forged_unnoticed`."""
    computed_unnoticed: int = 0
    """Those of `only_hashed` in events that a replay says it computes again."""
    notes: list[str] = field(default_factory=list)


def edit_runs(
    folder: Path, index: Path, forgeries: int, seed: int, report: Callable[[int, int], None]
) -> EditTally:
    """Edit a run of the formula search and one of a language model; with no forgeries, do nothing.

    Args:
        folder: scratch space.
    """
    from ...agent.run.execute import execute_run
    from ..tiny_subject import miniature

    tally = EditTally()
    if not forgeries:
        return tally
    with soak_server() as server:
        by_model = {"explainer": "openai:soak", "base_url": server.url("openai", "edits")}
        for name, settings in (("search", {"explainer": "compositional"}), ("model", by_model)):
            run = make_soak_run(folder / f"edits-{name}", index, targets(2), **settings)
            execute_run(run, subject=miniature())
            scratch = folder / f"edits-{name}-scratch"
            edit_run(run, scratch, tally, forgeries=forgeries, seed=seed, report=report)
    return tally


def edit_run(
    folder: Path,
    scratch: Path,
    tally: EditTally,
    *,
    forgeries: int,
    seed: int,
    every: int = 1,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Change every leaf of a finished run, and forge up to `forgeries` kinds of leaves.

    Args:
        folder: the run; it is not changed.
        scratch: an empty or missing folder.
        every: with the hashes left alone, change only one leaf in so many.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    _edit_leaves(folder, scratch / "edited.jsonl", tally, every)
    _edit_settings(folder, scratch / "settings", tally)
    computed = set(replay(folder).computed)
    kinds = list(_leaf_kinds(folder, random.Random(seed)))
    chosen = random.Random(seed).sample(kinds, min(forgeries, len(kinds)))
    for done, (name, event, path) in enumerate(chosen, 1):
        copy = Path(shutil.copytree(folder, scratch / "forged", symlinks=True))
        _forge_leaf(copy, event, path)
        tally.forged += 1
        found = tally.forged_noticed if _is_noticed(copy) else tally.forged_unnoticed
        found[event.event] = found.get(event.event, 0) + 1
        if found is tally.forged_unnoticed:
            tally.only_hashed.append(name)
            tally.computed_unnoticed += event.event in computed
        shutil.rmtree(copy)
        report(done, len(chosen))


def leaves(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """The paths of all values that contain no others."""
    items = value.items() if isinstance(value, dict) else None
    if isinstance(value, list):
        items = enumerate(value)
    if not items:
        yield path
        return
    for key, item in items:
        yield from leaves(item, (*path, key))


def changed(value: Any, path: KeyPath) -> Any:
    """The same value with another leaf."""
    if path:
        copy = value.copy()
        copy[path[0]] = changed(value[path[0]], path[1:])
        return copy
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + (1 if isinstance(value, int) else 0.25)
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, list):
        return ["x"]
    return {"x": "x"} if isinstance(value, dict) else 0


def _edit_leaves(folder: Path, path: Path, tally: EditTally, every: int) -> None:
    """Change each leaf of each event, the event's name, time and place included."""
    for number, event in enumerate(read_events(folder)):
        fields = event._asdict()
        for leaf in islice(leaves(fields), number % every, None, every):
            path.write_text(canonical(changed(fields, leaf)) + "\n", encoding="utf-8")
            tally.edits += 1
            try:
                for _ in read_segment(path):
                    tally.unnoticed += 1
                    tally.notes.append(f"{event.event} {leaf}: the change was not noticed")
            except HubelError:
                continue


def _edit_settings(folder: Path, copy: Path, tally: EditTally) -> None:
    """Change each setting."""
    shutil.copytree(folder, copy, symlinks=True)
    settings = tomllib.loads((folder / CONFIG).read_text(encoding="utf-8"))
    for leaf in leaves(settings):
        edited = tomli_w.dumps(changed(settings, leaf))
        (copy / CONFIG).write_text(edited, encoding="utf-8")
        tally.edits += 1
        if verify_run(copy).holds:
            tally.unnoticed += 1
            tally.notes.append(f"{CONFIG} {leaf}: the change was not noticed")
    shutil.rmtree(copy)


def _leaf_kinds(folder: Path, rng: random.Random) -> Iterator[tuple[str, Event, KeyPath]]:
    """One leaf of every kind, each of a random event: its name, its event, its path.

    Of several events with one name only the last is ever shown.
    """
    kinds: dict[str, list[tuple[Event, KeyPath]]] = {}
    last = {(event.event, event.target, event.id): event for event in read_events(folder)}
    for event in last.values():
        if event.event in BOOKKEEPING:
            continue
        for path in leaves(event.data):
            keys = ["N" if isinstance(key, int) else key for key in path]
            kinds.setdefault(" ".join([event.event, *keys]), []).append((event, path))
    for name, found in sorted(kinds.items()):
        yield name, *rng.choice(found)


def _forge_leaf(copy: Path, event: Event, path: KeyPath) -> None:
    def edit(other: Event) -> Event:
        same = other.hash == event.hash
        return other._replace(data=changed(event.data, path)) if same else other

    forge(copy, edit)


def _is_noticed(folder: Path) -> bool:
    try:
        return bool(replay(folder).mismatches)
    except HubelError:
        return True
    except (ValueError, LookupError, TypeError, AttributeError):
        return True  # hubel would not write such a log: noticed, if not in one line
