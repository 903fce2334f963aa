"""hubel: explain the neurons and circuits of a language model, and test each explanation on
held-out text.

The public names are listed in ``__all__``; each is imported when it is first used, so that ``import
hubel`` and ``hubel --help`` stay fast and looking at results never loads torch.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from .tools.instrument_modules import MODULES as _INSTRUMENT_MODULES

__version__ = "0.1.0"

_INSTRUMENT_MODULES.append(f"{__name__}.studies.instrument")

if "OMP_WAIT_POLICY" not in os.environ:
    # Torch's threads wait for each other after each operation, by default spinning for 6 ms before
    # they sleep. If another program has one of two cores, a pass over one sentence then takes 1 to
    # 6 s instead of 0.2. 2,000 turns are 0.04 ms, enough on a quiet machine.
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
if "OMP_NUM_THREADS" not in os.environ:
    # numpy's products are small here, and investigations run side by side: with a thread a core,
    # 32 targets took 121 CPU seconds instead of 91 (69 s instead of 59, two cores).
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

_PUBLIC = {
    "Index": ".tools.index",
    "InstrumentContext": ".tools.instruments",
    "Predicate": ".tools.dissection",
    "Subject": ".tools.subject",
    "Unit": ".tools.subject",
    "build_index": ".tools.index",
    "call": ".tools.instruments",
    "load_subject": ".tools.subject",
    "parse_targets": ".tools.subject",
    "read_corpus": ".tools.corpus",
    "score_explanation": ".agent.rescoring.notebook",
    "search_formulas": ".tools.dissection",
}

_RENAMED = {"Bench": "InstrumentContext", "explain": "search_formulas"}
"""Names that notebooks may still use."""

__all__ = ["__version__", *_PUBLIC]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    name = _RENAMED.get(name, name)
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name], __name__), name)
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}"
    )


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
