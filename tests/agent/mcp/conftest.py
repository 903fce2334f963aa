"""A dispatcher of instrument calls over the tiny subject."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubel.agent.mcp.dispatch import InstrumentDispatcher
from hubel.tools.index import Index
from hubel.tools.instruments import InstrumentContext
from hubel.tools.subject.subject import Subject
from tests.support.calls import CALLS

TOOLS = {name.replace(".", "_"): arguments for name, arguments in CALLS.items()}
"""Name of a tool to valid arguments."""


@pytest.fixture
def desk(tiny: Subject, tiny_index: Path) -> InstrumentDispatcher:
    return InstrumentDispatcher(InstrumentContext(tiny, Index.open(tiny_index)))
