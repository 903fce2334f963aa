"""Families of concepts, one per file.

Every module of this folder is imported here, so that a new family is one new file.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from .base import FAMILIES, Concept, TokenClass, family, find_family

for _module in sorted(module.name for module in iter_modules(__path__)):
    import_module(f"{__name__}.{_module}")

__all__ = ["FAMILIES", "Concept", "TokenClass", "family", "find_family"]
