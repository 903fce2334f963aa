"""A long investigation by a scripted language model, as strong models make them: what it costs in
tokens is measured on it.

It looks things up, proposes three rivals, tests them in tens, revises twice, and asks for two second
looks. The words are those of a neuron of the default subject (`mlp.20.977`).
"""

from __future__ import annotations

from typing import Any

from hubel.agent.llm.conversation import Reply, Request, TokenUsage, ToolCall
from hubel.agent.llm.token_estimate import reply_tokens, request_tokens
from tests.support.scripted_model import is_second_look, reply

PLAY, SINCE = ("play", "played", "playing", "plays"), ("since", "to", "as", "from")
CONTEXTS = (
    "Yesterday evening the reporter wrote {} in her long article about the harbour",
    "Nobody at the market on Sunday morning could explain {} to the old fisherman",
    "The committee heard on Tuesday that {} was on the list of things to discuss",
)


def experiments(hypothesis: str | None, words: list[str], context: int) -> list[dict[str, Any]]:
    """Six experiments, half of which predict silence."""
    planned = []
    for number, word in enumerate(words):
        quiet = number % 2 == 1
        plan: dict[str, Any] = {
            "text": CONTEXTS[context].format(word),
            "focus": word,
            "predicts": "within" if quiet else "fires",
            "side": "-",
            "why": "a near neighbour" if quiet else "the trigger in a foreign topic",
        }
        if quiet:
            plan |= {"low": -5.0, "high": 0.25}
        planned.append(plan | ({"hypothesis": hypothesis} if hypothesis else {}))
    return planned


def proposed(gist: str, predicate: str, revises: str = "") -> dict[str, Any]:
    """A hypothesis as a tool call has it."""
    return {"gist": gist, "predicate": predicate} | ({"revises": revises} if revises else {})


FIRST = [
    proposed(
        "Fires on the verb play in any form, most when it means taking part in a sport or having a role.",
        'words("play", "played", "playing", "plays", "player", "players") + wordclass("sport") + '
        'after(words("will", "to")) + near(40, "games") + words("but")',
    ),
    proposed(
        "Fires on words of sport: matches, teams, tournaments and their players, in sports news only.",
        'wordclass("sport") + near(120, "tennis", "match") + both(kind("number"), after(words("by"))) + '
        'near(40, "squad", "team") + recent(20, words("test", "cup"))',
    ),
    proposed(
        "On the positive side fires on since, as and to after a verb of telling; suppressed by play.",
        'words("since", "to", "as", "from") + wordclass("reporting verbs") + after(suffix("ed")) + '
        'words("play", "played")',
    ),
]
SECOND = [
    proposed(
        "Fires on play in any form, whatever is played; weaker on games; the other side on since and as.",
        'words("play", "played", "playing", "plays") + near(12, "games") + words("since", "as", "to") + '
        'wordclass("sport") + words("who", "when", "despite") + prefix("play") + token(" role")',
        "h1",
    ),
    proposed(
        "Fires on play before role or part, and on play in sport, more than on play of children.",
        'both(words("play", "played", "playing"), after(words("to", "will", "also"))) + near(40, "tennis")',
        "h1",
    ),
]
THIRD = [
    proposed(
        "Fires on play in any form and weakly on games; the other side on since, as, to and despite.",
        'words("play", "played", "playing", "plays") + near(12, "games") + near(40, "tennis") + '
        'words("since", "as", "to", "from", "despite") + words("but", "who") + suffix("ing")',
        "h4",
    )
]
FINDINGS = (
    "Play fires on the negative side in every context that was tried, also in kitchens and markets [e1, e3, e5]; "
    "near neighbours such as toy do nothing [e2, e4]. Since and as fire on the other side [e9]. "
    "The formula explains much of the corpus [h4]."
)


def look_up(name: str, **arguments: Any) -> tuple[str, dict[str, Any]]:
    """A call of an instrument."""
    return "instrument", {"name": name, "arguments": arguments}


MAIN = [
    reply(
        look_up("corpus_search", pattern="play"),
        look_up("corpus_search", pattern="since"),
        look_up("tokens_describe", words=["play", "playing", "since", "role"]),
        look_up("activations_exemplars", kind="quantile", side="-"),
        text="I first look at where the words fail.",
    ),
    reply(
        ("propose", {"hypotheses": FIRST}),
        (
            "experiment",
            {
                "experiments": experiments(
                    "h1", ["play", "toy", "played", "match", "playing", "role"], 0
                )
            },
        ),
        ("experiment", {"experiments": experiments("h2", ["tennis", "toy", "squad", "garden"], 1)}),
    ),
    reply(
        look_up("upstream", text="The White House says it will continue to play"),
        look_up("nearest", k=5),
        look_up("corpus_search", pattern="games"),
        look_up("compare", text="He will play a role here", other="He will take a role here"),
    ),
    reply(
        ("propose", {"hypotheses": SECOND}),
        (
            "experiment",
            {
                "experiments": experiments(
                    "h4", ["plays", "game", "player", "theatre", "play", "act"], 1
                )
            },
        ),
    ),
    reply(
        ("experiment", {"experiments": experiments("h5", ["play", "role", "played", "part"], 2)}),
        look_up("corpus_search", pattern="as"),
        look_up(
            "activations_search", text="Today the United States will play France", token="play"
        ),
    ),
    reply(("conclude", {"hypothesis": "h4", "findings": FINDINGS})),
    reply(
        ("propose", {"hypotheses": THIRD}),
        (
            "experiment",
            {
                "experiments": experiments(
                    "h6", ["playful", "toys", "played", "plain", "plays", "clay"], 2
                )
            },
        ),
        look_up("corpus_search", pattern="despite"),
    ),
    reply(("conclude", {"hypothesis": "h6", "findings": FINDINGS})),
    reply(("conclude", {"hypothesis": "h6", "findings": FINDINGS})),
]
"""Replies of the main conversation, in order."""
LOOKS = [
    [
        reply(look_up("corpus_search", pattern="play")),
        ["play", "sing", "player", "ballet", "playing", "work"],
    ],
    [
        reply(look_up("corpus_search", pattern="tennis")),
        ["play", "dance", "plays", "opera", "tennis", "trade"],
    ],
]


class LongInvestigation:
    """Makes the replies of the script in order, and counts the tokens of each request."""

    name = "openai:test"

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._main = self._looks = 0

    @property
    def prompt_tokens(self) -> list[int]:
        """Of each request, as the code estimates them."""
        return [request_tokens(request) for request in self.requests]

    def reply(self, request: Request) -> Reply:
        """The next reply of the conversation that the request belongs to."""
        self.requests.append(request)
        if is_second_look(request):
            look, words = LOOKS[(self._looks // 2) % 2]
            self._looks += 1
            challenges = experiments(None, words, self._looks // 4)
            came = look if self._looks % 2 else reply(("challenge", {"experiments": challenges}))
        else:
            came = MAIN[min(self._main, len(MAIN) - 1)]
            self._main += 1
        calls = tuple(
            ToolCall(f"{len(self.requests)}-{c.id}", c.name, c.arguments, c.raw) for c in came.calls
        )
        usage = TokenUsage(request_tokens(request), reply_tokens(came))
        return Reply(came.text, calls, came.stop, usage, "test-1")
