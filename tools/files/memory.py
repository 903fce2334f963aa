"""How much memory is free, so that work that does not fit is refused before the system kills it."""

from __future__ import annotations

from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def free_memory(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int | None:
    """Bytes that this process may still take, of the machine or of its control group if that is less.

    None where the system does not say.
    """
    limits = (_free_on_machine(meminfo), _free_in_cgroup(cgroup))
    return min((free for free in limits if free is not None), default=None)


def _free_on_machine(path: Path) -> int | None:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    available = (line.split()[1] for line in lines if line.startswith("MemAvailable"))
    kilobytes = next(available, None)
    return None if kilobytes is None else int(kilobytes) * 1024


def _free_in_cgroup(folder: Path) -> int | None:
    """Of a container (control groups, version 2); cached file pages count as free, as on a machine."""

    def read(name: str) -> str:
        return (folder / name).read_text(encoding="ascii").strip()

    try:
        limit, used, statistics = read("memory.max"), read("memory.current"), read("memory.stat")
    except OSError:
        return None
    if not limit.isdigit():  # "max": no limit
        return None
    lines = statistics.splitlines()
    cached = next((int(line.split()[1]) for line in lines if line.startswith("inactive_file ")), 0)
    return max(0, int(limit) - int(used) + cached)
