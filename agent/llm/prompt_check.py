"""Did the server read the whole prompt? Some, like Ollama, silently cut it to their context window.

1. A reply is suspect if the server counts fewer prompt tokens than the text has at least; if a
   longer conversation did not grow by what was added; if different prompts have the same count; or if
   the count is a multiple of 512, as context windows are. Any of these can have another reason: a
   server that counts only what it has not cached, or chance.
2. So a suspect prompt is sent again, with FILLER more words at its beginning, where nothing can be
   cached, and for 16 tokens of reply. A server that reads all of it counts at least that many more;
   one that cuts does not, and its reply is refused.
3. What was read in full once is not suspect again. Nor are small counts, once a server is known to
   count only what is new.

A text has at least a token for each word and one for every two runs of punctuation: only some
research tokenizers join two words, and LEAST allows for them. Scripts without spaces have few words
by this rule, and so are suspect less often, not more. Tokens that the server read from its cache
count. Providers' own servers refuse what is too long, and are not checked.
"""

from __future__ import annotations

import random
import re
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from .conversation import (
    AssistantMessage,
    Message,
    Request,
    TokenUsage,
    ToolResults,
    UserMessage,
)

SMALLEST_CONTEXT = 512
"""Tokens. No server has a smaller context; a smaller count does not show that anything was cut."""
LEAST = 0.7
"""Tokens for each word, at least. Measured on a run's prompts with SmolLM2's tokenizer: 1.3 to 1.8;
with tokenizers that join words (SuperBPE), about a third less."""
FILLER = 200
"""Words that are added to a suspect prompt."""
MOST_KEPT = 1000
"""Prompts and counts that are remembered."""
_WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_WORD, _RUN = re.compile(r"\w+"), re.compile(r"[^\w\s]+")


class PromptCheck:
    """Token counts of one server and model, compared with the prompts. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._prompts: dict[int, tuple[int, float]] = {}
        """Hash of a prompt to its counted tokens and its words."""
        self._counts: dict[int, float] = {}
        """Counted tokens to the words of the prompt."""
        self._read = 0
        """Tokens of the longest prompt that was certainly read in full."""
        self._counts_only_new = False

    def least_tokens(self, request: Request, usage: TokenUsage | None) -> float | None:
        """Tokens that the prompt has at least, if its count is suspect; None if it is not."""
        if usage is None or usage.input < SMALLEST_CONTEXT:
            return None
        counted, words = usage.input, words_in(request)
        with self._lock:
            least = max(float(counted), LEAST * words, self._grown(request, counted, words))
            same = abs(self._counts.get(counted, words) - words) > 0.02 * words
            self._counts[counted] = words
            _forget_oldest(self._counts)
            if least > counted:
                return None if self._counts_only_new else least
            at_a_limit = same or counted % SMALLEST_CONTEXT == 0
            return least if at_a_limit and counted > self._read else None

    def is_cut(self, counted: int, least: float, with_filler: TokenUsage) -> bool:
        """Whether the server cut a suspect prompt, by its count of the same with the filler.

        Args:
            counted: its count without.
            least: tokens that the prompt without has at least.
        """
        if with_filler.input < least + LEAST * FILLER:
            return True
        with self._lock:
            self._read = max(self._read, with_filler.input)
            self._counts_only_new |= least > counted
        return False

    def _grown(self, request: Request, counted: int, words: float) -> float:
        """Tokens that a prompt has at least, by an earlier count in its conversation; remembers it."""
        *earlier, whole = _beginnings(request)
        known = next((kept for b in reversed(earlier) if (kept := self._prompts.get(b))), None)
        self._prompts[whole] = counted, words
        _forget_oldest(self._prompts)
        return known[0] + LEAST * (words - known[1]) if known else 0.0


def _beginnings(request: Request) -> Iterator[int]:
    """A hash of each beginning of a conversation, the whole one last."""
    key = hash(request.system)
    yield key
    for message in request.messages:
        if isinstance(message, AssistantMessage):
            reply = message.reply
            key = hash((key, reply.text, *(call.raw for call in reply.calls)))
        else:
            key = hash((key, _text(message)))
        yield key


def with_filler(request: Request) -> Request:
    """A request with more words at its beginning, different ones each time."""
    words = " ".join(random.choices(_WORDS, k=FILLER))
    note = (
        f"{uuid.uuid4().hex} This only checks that everything is read, "
        "and is no part of what follows:"
    )
    return replace(request, system=f"{note} {words}.\n\n{request.system}", max_tokens=16)


def words_in(request: Request) -> float:
    """Words and half the runs of punctuation in what is sent.

    Without replies and tools: servers leave out parts of these.
    """
    texts = [request.system, *map(_text, request.messages)]
    return sum(len(_WORD.findall(text)) + len(_RUN.findall(text)) / 2 for text in texts)


def _text(message: Message) -> str:
    """What the program wrote in a message."""
    if isinstance(message, UserMessage):
        return message.text
    if isinstance(message, ToolResults):
        return "\n".join(result.text for result in message.results)
    return ""


def _forget_oldest(kept: dict[int, Any]) -> None:
    while len(kept) > MOST_KEPT:
        kept.pop(next(iter(kept)))
