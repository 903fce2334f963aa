"""Names of events that several rooms write or read."""

from __future__ import annotations

LLM_CALL = "llm_call"
"""A paid answer of a language model; its id is the hash of the request."""
LLM_REQUEST = "llm_request"
"""A request to a language model, written when it is sent and again, under the same name, when it has
ended; its id is the id of its answer and a number."""
LLM_BATCH = "llm_batch"
"""A batch of requests that is about to be submitted to a provider; its id is a name of our own."""
LLM_BATCH_STATE = "llm_batch_state"
"""How far that batch has come, under the same id: being sent, submitted (with the provider's id)."""
SCORE_FAILURE = "score_failure"
"""A sentence's score that failed and may be asked for again; its id is the hypothesis and the scorer."""
LEFT_OUT = "left_out"
"""Why families of concepts are left out of a run: a line for each reason."""
