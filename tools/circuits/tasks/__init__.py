"""Tasks with clean and corrupted prompts, an answer and a foil; each task is one file."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from ...errors import UsageError
from .task import TASKS, Task

__all__ = ["Task", "all_tasks", "find_task"]


def all_tasks() -> dict[str, Task]:
    """Every task by name; importing a file of this folder registers its task."""
    for module in iter_modules([str(Path(__file__).parent)]):
        import_module(f".{module.name}", __name__)
    return dict(sorted(TASKS.items()))


def find_task(name: str) -> Task:
    """Find a task by its name, or read it from a user's table of pairs.

    Raises:
        UsageError: no task has that name (the message lists them all), or the file has a fault.
    """
    from .pairs_file import is_file_of_pairs, task_of_file

    if is_file_of_pairs(name):
        return task_of_file(name)
    tasks = all_tasks()
    if name not in tasks:
        raise UsageError(
            f"no task {name!r}; there are {', '.join(tasks)}, "
            "or give a .csv, .tsv, .jsonl or .parquet file of pairs"
        )
    return tasks[name]
