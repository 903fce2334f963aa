"""Nouns and verbs of the two agreement tasks."""

from __future__ import annotations

from .task import word_pairs

NOUNS = word_pairs(
    "key/keys window/windows teacher/teachers car/cars dog/dogs house/houses book/books friend/friends "
    "student/students doctor/doctors author/authors picture/pictures tree/trees machine/machines bird/birds "
    "letter/letters garden/gardens river/rivers farmer/farmers table/tables"
)
"""Singular and plural."""
VERBS = ((" is", " are"), (" has", " have"), (" was", " were"), (" does", " do"))
