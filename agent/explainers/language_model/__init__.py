"""How a language model investigates: what it is shown, its tools, and how its replies become moves.

    explainer     one move: ask for one reply, and make a move of it
    dialogue      the conversation of one target, built from the log alone
    state         what has come up in it so far: hypotheses, experiments, outcomes
    parse_reply   a reply becomes hypotheses, experiments, instrument calls or a conclusion
    tools         the tools' schemas: a few of its own, and every instrument of `tools.instruments`
    aliases       addresses become U, U1, U2 for the model, and addresses again afterwards
    prompt_text   the unit's evidence, outcomes and scores as compact text
    trace_claims  numbers and quotations of a conclusion, traced to the evidence

Here: blinding, quoting and repair. Not here: the loop (`investigation.loop`), which compares
predictions, scores hypotheses and chooses explanations, and trusts no model's words.
"""

from __future__ import annotations
