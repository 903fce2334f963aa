"""Names of events that several rooms write or read."""

from __future__ import annotations

LLM_CALL = "llm_call"
"""A paid answer of a language model; its id is the hash of the request."""
