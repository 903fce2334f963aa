"""How a language model investigates: what it is shown, the tools that it has, and how its replies
become moves.

    dialogue      the conversation, built anew from the case at each move: nothing is remembered outside the log
    reading       a reply becomes hypotheses, experiments, instrument calls or a conclusion; what is off goes back
    tools         the tools' schemas: its own few, and every instrument of `tools/`
    aliases       addresses become U, U1, U2 on the way to the model, and addresses again on the way back
    showing       what the unit does, outcomes and scores, as compact text
    claims        numbers and quotations of a conclusion, traced to the evidence that holds them

Blinding, quoting and repair live here; predictions are adjudicated, hypotheses scored and
explanations chosen by the loop (`agent.investigation.loop`), which trusts no model's words.
"""

from __future__ import annotations
