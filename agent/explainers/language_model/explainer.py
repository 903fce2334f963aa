"""A language model as explainer: it reads the evidence, proposes rivals, tests them with instruments,
and concludes.

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
from .trace_claims import trace_claims

if TYPE_CHECKING:
    from ...runlog.config import RunConfig
    from .parse_reply import ParsedReply


class LanguageModelExplainer:
    """Any chat model with tools, as an explainer. Its moves follow from its journaled replies."""

    version = "1"
    revises = True
    converses = True
    moves_a_round = 1000
    """In effect no limit: the dialogue itself limits the replies."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._dialogues: dict[str, Dialogue] = {}
        """Open conversations by target, so that a reply is parsed once. A resumed run rebuilds them."""

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
        if not (move.settled or move.cannot_explain):
            # Kept only now: after an error the conversation is rebuilt from the log.
            self._dialogues[target] = dialogue
        return move


def _move(dialogue: Dialogue, parsed: ParsedReply, look: str) -> Move:
    if parsed.unusable:
        return Move(ready=False, reply=parsed.key, look=look)
    calls = parsed.calls
    experiments = tuple(e for call in calls for e in call.experiments)
    conclusion = next((call for call in calls if call.favourite or call.cannot_explain), None)
    settled = conclusion is not None and conclusion.settled
    cannot_explain = conclusion.cannot_explain if conclusion else ""
    favourite = dialogue.state.hypotheses.get(conclusion.favourite) if conclusion else None
    findings = f"{conclusion.findings}\n{favourite.sentence}" if conclusion and favourite else ""
    return Move(
        hypotheses=tuple(h for call in calls for h in call.hypotheses),
        experiments=experiments,
        ready=bool(settled or cannot_explain or (look and experiments)),
        cannot_explain=cannot_explain,
        calls=tuple(call.instrument for call in calls if call.instrument),
        reply=parsed.key,
        look=look,
        favourite=conclusion.favourite if conclusion else "",
        settled=settled,
        findings=conclusion.findings if conclusion else "",
        claims=trace_claims(findings, dialogue.evidence),
    )


def make(config: RunConfig) -> LanguageModelExplainer:
    """The model of the configuration's name, ``openai:MODEL`` or ``anthropic:MODEL``. Asks nothing yet."""
    name = config.explainer.name
    if not config.explainer.model:
        raise UsageError(f"{name!r} names no model; give for example {name}MODEL")
    return LanguageModelExplainer(name)
