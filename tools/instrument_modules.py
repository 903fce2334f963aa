"""Modules outside of `tools/instruments` that register instruments, by import name.

It imports nothing: the package names here what lies in rooms that `tools` may not import.
"""

from __future__ import annotations

MODULES: list[str] = []
