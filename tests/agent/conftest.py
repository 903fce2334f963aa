"""Fixtures of the agent's tests: a cache of their own, a tiny index, a finished run."""

from tests.support.finished_run import finished, own_cache, tiny_index

__all__ = ["finished", "own_cache", "tiny_index"]
