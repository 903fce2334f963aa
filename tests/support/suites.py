"""Nulls and controls that several tests plant in the tiny subject, as the end of a suite's text."""

from __future__ import annotations

NULLS_AND_ROTATED = """
[[unit]]
id = "null-1"
layer = 1
null = "noise"
[[unit]]
id = "null-2"
layer = 1
null = "shuffled:mlp.0.3"
[[unit]]
id = "control-1"
layer = 1
control = "rotated"
"""
REDRAWN = """
[[unit]]
id = "control-2"
layer = 1
control = "redrawn:mlp.1.3"
"""
