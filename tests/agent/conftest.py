"""Fixtures of the agent's tests: a cache of their own, a tiny index, a finished run, runs by a language model."""

from tests.support.finished_run import finished, own_cache, tiny_index
from tests.support.language_model_runs import run_model

__all__ = ["finished", "own_cache", "run_model", "tiny_index"]
