"""A language model as the mind: it reads the evidence, proposes rivals, tests them with
instruments, and concludes.

1. The conversation so far is built anew from the case, and the model is asked for one reply through
   the journal.
2. The reply is read (`agent.explainers.language_model`) into one move: hypotheses, experiments with
   their predictions, instrument calls, or a conclusion.
3. A conclusion is first put to a second look: a fresh conversation that knows the claim alone and
   tries to refute it. Its score on select comes with the outcome; the model revises, or concludes
   again and is settled.

A move is one paid reply. Who has provided it, OpenAI, Anthropic or a server at home, makes no
difference here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....tools.errors import UsageError
from ..protocol import InvestigationView, Move

if TYPE_CHECKING:
    from ...llm.conversation import JournaledReply
    from ...runlog.config import RunConfig
    from .dialogue import Dialogue


class LanguageModelExplainer:
    """Any chat model with tools, as an explainer. Its moves follow from the replies, which are journaled."""

    version = "1"
    revises = True
    converses = True
    moves_a_round = 1000
    """The explainer itself counts replies; the loop need not."""

    def __init__(self, name: str) -> None:
        self.name = name

    def move(self, case: InvestigationView) -> Move:
        """Ask for one reply and read it; when the conversation is over, leave it to select."""
        from .dialogue import Dialogue

        if case.conversation is None:
            raise UsageError(f"{self.name} needs a conversation; this is a defect of the loop")
        dialogue = Dialogue(case, case.conversation)
        if dialogue.over:
            return Move(settled=True)
        look = dialogue.favourite
        heard = case.conversation.ask(dialogue.request())
        return _move(dialogue, heard, look)


def _move(dialogue: Dialogue, heard: JournaledReply, look: str) -> Move:
    from . import parse_reply, trace_claims

    if parse_reply.unusable(heard.reply):
        return Move(ready=False, reply=heard.key, look=look)
    parts = parse_reply.read(heard.reply, dialogue.known, look)
    experiments = tuple(e for part in parts for e in part.experiments)
    last = next((part for part in parts if part.favourite or part.cannot_explain), None)
    settled = last is not None and last.settled
    cannot = last.cannot_explain if last else ""
    favourite = dialogue.known.hypotheses.get(last.favourite) if last else None
    said = f"{last.findings}\n{favourite.sentence}" if last and favourite else ""
    return Move(
        hypotheses=tuple(h for part in parts for h in part.hypotheses),
        experiments=experiments,
        ready=bool(settled or cannot or (look and experiments)),
        cannot_explain=cannot,
        calls=tuple(part.instrument for part in parts if part.instrument),
        reply=heard.key,
        look=look,
        favourite=last.favourite if last else "",
        settled=settled,
        findings=last.findings if last else "",
        claims=trace_claims.trace(said, dialogue.evidence),
    )


def make(config: RunConfig) -> LanguageModelExplainer:
    """The model of the configuration's name, ``openai:MODEL`` or ``anthropic:MODEL``; it is not asked for here."""
    if not config.explainer.partition(":")[2]:
        raise UsageError(
            f"{config.explainer!r} names no model; give for example {config.explainer.rstrip(':')}:MODEL"
        )
    return LanguageModelExplainer(config.explainer)
