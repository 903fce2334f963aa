"""A server on this machine that speaks both providers' protocols, with any `LanguageModel` behind
it.

    server        listens, checks keys and rate limits, and answers
    wires         the two protocols: a request from the wire, a reply, an error or a list of models onto it
    script        what goes differently: which requests are answered otherwise, late, wrongly, or not at all
    faults        wrong answers by name: connections that break, bodies that are no answer, replies that are no use
    ledger        which request came how often, what it got, and how many were being answered at once

For trying a run without a key, and for tests: what a run sends goes through the providers' own
SDKs, and what comes back is what a program answers.

    with Loopback(model) as server:
        ...  hubel run --explainer openai:any --base-url server.url("openai")
"""

from __future__ import annotations

from .ledger import Entry, Ledger
from .script import Rule, Script, read_script
from .server import Loopback

__all__ = ["Entry", "Ledger", "Loopback", "Rule", "Script", "read_script"]
