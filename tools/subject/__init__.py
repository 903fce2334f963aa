"""The model under study: addresses of its units, loading, activations, interventions, nulls.

Names are imported on first use, so that addresses can be parsed without torch. Circuits (paths
through several units) are not here: see `tools.circuits`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .address import Shape, Side, Site, Unit, parse_targets
    from .architectures import Architecture, architecture_of, register
    from .capture import Capture
    from .interventions import Intervention
    from .load import load_subject, subject_shape
    from .nulls import ArtificialUnit, NoiseUnit, redrawn_unit, rotated_units, shuffled_unit
    from .planted_units import PlantedSubject, Suite, SuiteUnit, plant, read_suite
    from .subject import Subject
    from .tokenizer import Tokens

_HOME = {
    "Architecture": "architectures",
    "ArtificialUnit": "nulls",
    "Capture": "capture",
    "Intervention": "interventions",
    "NoiseUnit": "nulls",
    "PlantedSubject": "planted_units",
    "Shape": "address",
    "Side": "address",
    "Site": "address",
    "Subject": "subject",
    "Suite": "planted_units",
    "SuiteUnit": "planted_units",
    "Tokens": "tokenizer",
    "Unit": "address",
    "architecture_of": "architectures",
    "load_subject": "load",
    "parse_targets": "address",
    "plant": "planted_units",
    "read_suite": "planted_units",
    "redrawn_unit": "nulls",
    "register": "architectures",
    "rotated_units": "nulls",
    "shuffled_unit": "nulls",
    "subject_shape": "load",
}

__all__ = [
    "Architecture",
    "ArtificialUnit",
    "Capture",
    "Intervention",
    "NoiseUnit",
    "PlantedSubject",
    "Shape",
    "Side",
    "Site",
    "Subject",
    "Suite",
    "SuiteUnit",
    "Tokens",
    "Unit",
    "architecture_of",
    "load_subject",
    "parse_targets",
    "plant",
    "read_suite",
    "redrawn_unit",
    "register",
    "rotated_units",
    "shuffled_unit",
    "subject_shape",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
