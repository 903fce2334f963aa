"""Circuits whose edges are known: transformers compiled from programs, trained in seconds, or planted in a subject."""

from pathlib import Path

CODE = (Path(__file__).parent, Path(__file__).parents[2] / "tools" / "circuits")
"""The folders of all code that benches of circuits depend on."""
