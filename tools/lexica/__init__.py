"""Lexica: classes of words that people have names for, from packages that are kept in the cache."""

from __future__ import annotations

from .base_forms import possible_readings
from .class_key import ClassKey, parse_key
from .class_phrase import class_phrase, is_nameable
from .lexica import Lexica
from .wordnet import WordNet

__all__ = [
    "ClassKey",
    "Lexica",
    "WordNet",
    "class_phrase",
    "is_nameable",
    "parse_key",
    "possible_readings",
]
