"""Rows of users' tables, whatever their format: one reader for corpora, pairs and explanations.

Not here: hubel's own Parquet and JSONL, which are read by what wrote them.
"""

from __future__ import annotations

from .lines import read_lines
from .row import Row
from .table import KINDS, column_names, kind_of, read_all_rows, read_rows

__all__ = ["KINDS", "Row", "column_names", "kind_of", "read_all_rows", "read_lines", "read_rows"]
