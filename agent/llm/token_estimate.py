"""How many tokens a request and its reply have where no server counts them.

Four ASCII characters, or one of any other script, are about one token: English text has 4 to 4.5
characters a token, Chinese, Japanese and Thai about one.
"""

from __future__ import annotations

import json

from .conversation import AssistantMessage, Message, Reply, Request, TokenUsage, ToolResults

ASCII_PER_TOKEN = 4


def tokens_in(text: str) -> int:
    """About how many tokens a text has."""
    ascii_length = len(text.encode("ascii", "ignore"))
    return ascii_length // ASCII_PER_TOKEN + len(text) - ascii_length


def request_tokens(request: Request) -> int:
    """About how many tokens the server reads."""
    tools = (
        json.dumps([t.name, t.description, dict(t.parameters)], default=str) for t in request.tools
    )
    texts = [request.system, *tools, *map(_text, request.messages)]
    return sum(map(tokens_in, texts))


def reply_tokens(reply: Reply) -> int:
    """About how many tokens the model wrote, without hidden reasoning."""
    return tokens_in(reply.text) + sum(tokens_in(call.name + call.raw) for call in reply.calls)


def largest_usage(request: Request, most_output: int) -> TokenUsage:
    """The tokens of a request if the model writes as much as it may.

    Args:
        most_output: limit of the reply's tokens, as it is sent.
    """
    return TokenUsage(request_tokens(request), most_output)


def usage_of(reply: Reply, largest: TokenUsage) -> TokenUsage:
    """What a reply took: the server's count, and an estimate of what it did not count.

    A reply that was cut off has as many tokens as its limit.
    """
    cut_off = reply.stop == "length"
    written = largest.output if cut_off else min(reply_tokens(reply), largest.output)
    if reply.usage is None:
        return TokenUsage(largest.input, written)
    if reply.usage.output == 0 and written > 0:
        usage = reply.usage
        return TokenUsage(usage.input, written, usage.cache_read, usage.cache_write)
    return reply.usage


def _text(message: Message) -> str:
    if isinstance(message, ToolResults):
        return "".join(result.text for result in message.results)
    if isinstance(message, AssistantMessage):
        return message.reply.text + "".join(call.raw for call in message.reply.calls)
    return message.text
