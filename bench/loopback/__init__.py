"""A server on this machine that speaks both providers' protocols and answers with any
`LanguageModel`.

    server        listens, checks keys and rate limits, and answers
    wires         the two protocols: parse requests; format replies, errors and lists of models
    script        exceptions: which requests are answered differently, late, wrongly, or not at all
    faults        malformed answers by name: broken connections, bodies that are not answers, useless
                  replies
    dialects      servers that only stream, or want `max_completion_tokens` or the reasoning back
    rate_limits   rate limits, and the headers that report them
    batches       batches of both providers, with faults of their own
    ledger        which request came how often, how it was answered, and how many were in flight
    demo_model    a program in place of a language model
    demo_judge    the same in place of a judge, a simulator or a writer

For trying a run without an API key, and for tests: requests go through the providers' own SDKs, and
a program answers them.

    with Loopback(model) as server:
        ...  hubel run --explainer openai:any --base-url server.url("openai")
"""

from __future__ import annotations

from .ledger import Entry, Ledger
from .script import Rule, Script, read_script
from .server import Loopback

__all__ = ["Entry", "Ledger", "Loopback", "Rule", "Script", "read_script"]
