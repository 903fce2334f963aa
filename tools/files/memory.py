"""How much memory there is to be had, so that work which does not fit is refused before the system ends it."""

from __future__ import annotations

from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")


def free_memory(meminfo: Path = _MEMINFO, group: Path = _GROUP) -> int | None:
    """Bytes that this process may still take: of the machine, or of its control group where that is
    less.

    None where the system does not say.
    """
    found = [free for free in (_of_machine(meminfo), _of_group(group)) if free is not None]
    return min(found, default=None)


def _of_machine(path: Path) -> int | None:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next(
        (int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), None
    )


def _of_group(folder: Path) -> int | None:
    """Of a container (control groups, version 2); cached pages of files count as free, as they do on the machine."""
    try:
        most, used = (
            (folder / f"memory.{name}").read_text(encoding="ascii").strip()
            for name in ("max", "current")
        )
        cached = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    if not most.isdigit():
        return None
    file = next((int(line.split()[1]) for line in cached if line.startswith("inactive_file ")), 0)
    return max(0, int(most) - int(used) + file)
