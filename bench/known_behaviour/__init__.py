"""Subjects whose behaviour is set by hand, so that what a study should find is known."""

from __future__ import annotations

from .bag_of_words import bag_of_words
from .shot_reader import shot_reader

__all__ = ["bag_of_words", "shot_reader"]
