"""A language model as explainer: it reads evidence, proposes rivals, tests them and concludes.

1. The target's conversation (`dialogue`) is extended by what happened since the last move, and the
   model is asked for one reply through the journal.
2. The reply is parsed (`parse_reply`) into one move: hypotheses, experiments with their predictions,
   instrument calls, or a conclusion.
3. A conclusion first gets a second look: a fresh conversation that knows the claim alone and tries
   to refute it. The model then sees the outcome and its score on select; it revises, or concludes
   again and is settled.

One move is one paid reply. The provider, OpenAI, Anthropic or a local server, makes no difference
here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....tools.errors import UsageError
from ..protocol import InvestigationView, Move
from .dialogue import Dialogue
from .parse_reply import ParsedToolCall
from .trace_claims import trace_claims

if TYPE_CHECKING:
    from ...runlog.config import RunConfig
    from .parse_reply import ParsedReply


MAX_OPEN = 256
"""Conversations that are kept in memory, more than run side by side. Others are rebuilt if needed."""


class LanguageModelExplainer:
    """Any chat model with tools, as an explainer. Its moves follow from its journaled replies."""

    version = "2"
    revises = True
    converses = True
    moves_a_round = 1000
    """In effect no limit: the dialogue itself limits the replies."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._dialogues: dict[str, Dialogue] = {}
        """By target, so that a reply is parsed once; the one that was extended last comes last."""

    def move(self, view: InvestigationView) -> Move:
        """Ask for one reply and parse it; when the conversation is over, leave the rest to select."""
        if view.conversation is None:
            raise UsageError(f"{self.name} needs a conversation; this is a defect of the loop")
        target = str(view.unit)
        dialogue = self._dialogues.pop(target, None) or Dialogue(view, view.conversation)
        dialogue.catch_up(view, view.conversation)
        if dialogue.over:
            return Move(settled=True)
        look = dialogue.favourite
        reply = view.conversation.ask(dialogue.request())
        move = _move(dialogue, dialogue.parse(reply, look), look)
        # Kept only now, so that after an error the conversation is rebuilt from the log.
        self._dialogues[target] = dialogue
        if len(self._dialogues) > MAX_OPEN:
            self._dialogues.pop(next(iter(self._dialogues)), None)
        return move


def _move(dialogue: Dialogue, parsed: ParsedReply, look: str) -> Move:
    """A reply's tool calls as one move of the loop."""
    if parsed.unusable:
        return Move(ready=False, reply=parsed.key, look=look)
    hypotheses, experiments, instrument_calls = [], [], []
    for call in parsed.calls:
        hypotheses += call.hypotheses
        experiments += call.experiments
        if call.instrument:
            instrument_calls.append(call.instrument)
    concluding = (call for call in parsed.calls if call.favourite or call.cannot_explain)
    conclusion = next(concluding, ParsedToolCall(""))  # an empty one if it does not conclude yet
    claims = ()
    if favourite := dialogue.state.hypotheses.get(conclusion.favourite):
        claims = trace_claims(f"{conclusion.findings}\n{favourite.words}", dialogue.evidence)
    return Move(
        hypotheses=tuple(hypotheses),
        experiments=tuple(experiments),
        ready=bool(conclusion.settled or conclusion.cannot_explain or (look and experiments)),
        cannot_explain=conclusion.cannot_explain,
        calls=tuple(instrument_calls),
        reply=parsed.key,
        look=look,
        favourite=conclusion.favourite,
        settled=conclusion.settled,
        findings=conclusion.findings,
        claims=claims,
    )


def make(config: RunConfig) -> LanguageModelExplainer:
    """The configured model, ``openai:MODEL`` or ``anthropic:MODEL``. Nothing is asked yet."""
    name = config.explainer.name
    if not config.explainer.model:
        raise UsageError(f"{name!r} names no model; give for example {name}MODEL")
    return LanguageModelExplainer(name)
