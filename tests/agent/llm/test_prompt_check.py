"""A server that silently cuts prompts is detected; one that only counts differently is not accused."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from hubel.agent.llm import Patience, make_model
from hubel.agent.llm.conversation import (
    AssistantMessage,
    Client,
    Message,
    Reply,
    Request,
    TokenUsage,
    ToolCall,
    ToolResult,
    ToolResults,
    UserMessage,
)
from hubel.agent.llm.errors import PromptCut
from hubel.agent.llm.prompt_check import FILLER, PromptCheck, with_filler
from hubel.agent.runlog.model_config import ModelConfig
from hubel.bench.loopback import Loopback, Script

CHINESE = "这个单元在城市名称上激活，尤其是在句子的开头。" * 40
PROVIDERS = pytest.mark.parametrize("provider", ["openai", "anthropic"])


class Yes:
    name = "openai:yes"

    def reply(self, request: Request) -> Reply:
        return Reply("yes")


def words(n: int, start: int = 0) -> str:
    return " ".join(f"word{number}" for number in range(start, start + n))


def growing(turns: int, first: str, added: int = 150) -> Iterable[Request]:
    """A conversation, a turn longer each time."""
    messages: list[Message] = [UserMessage(first)]
    for turn in range(turns):
        yield Request("system", tuple(messages))
        call = ToolCall(f"c{turn}", "look", {}, "{}")
        messages.append(AssistantMessage(Reply("", (call,), "tools")))
        messages.append(ToolResults((ToolResult(call.id, words(added, 1000 * turn)),)))


def client(server: Loopback, provider: str) -> Client:
    return make_model(ModelConfig(f"{provider}:m", server.url(provider)), Patience(1.0))


@PROVIDERS
@pytest.mark.parametrize("context", [1000, 1024, 1500])
def test_a_server_that_cuts_prompts_is_detected(provider: str, context: int) -> None:
    with Loopback(Yes(), script=Script(context_tokens=context)) as server:
        model, requests = client(server, provider), growing(8, words(400))
        with pytest.raises(PromptCut, match="num_ctx"):
            list(map(model.reply, requests))


def test_a_cut_question_of_a_judge_is_detected() -> None:
    with (
        Loopback(Yes(), script=Script(context_tokens=2048)) as server,
        pytest.raises(PromptCut, match=r"read 2,048 tokens of a prompt of at least"),
    ):
        client(server, "openai").reply(Request("system", (UserMessage(words(2000)),)))


@PROVIDERS
@pytest.mark.parametrize(
    "script", [Script(), Script(counts_only_new=True)], ids=["all", "only new"]
)
def test_a_server_that_reads_everything_is_not_accused(provider: str, script: Script) -> None:
    with Loopback(Yes(), script=script) as server:
        model = client(server, provider)
        for _ in range(2):  # the second time all is in the server's cache
            for request in growing(6, words(700)):
                model.reply(request)
            for request in growing(4, CHINESE):
                model.reply(request)
        asked = len(server.ledger.entries())
    assert asked <= 20 + 3, "few prompts are suspect"


def checked(counts: Iterable[int], requests: Iterable[Request], check: PromptCheck) -> list[bool]:
    """Which of the counted prompts are suspect."""
    usages = (TokenUsage(count, 10) for count in counts)
    return [check.least_tokens(r, u) is not None for r, u in zip(requests, usages, strict=True)]


def test_counts_that_say_nothing_are_not_suspect() -> None:
    requests = list(growing(3, words(3000)))
    assert checked([0, 1, 100], requests, PromptCheck()) == [False] * 3
    assert PromptCheck().least_tokens(requests[0], None) is None
    cached = TokenUsage(4001, 10, cache_read=3900)
    assert PromptCheck().least_tokens(requests[0], cached) is None


def test_scripts_without_spaces_have_few_words() -> None:
    requests = [Request("系统", (UserMessage(CHINESE * n),)) for n in (1, 2, 3)]
    assert checked([601, 1203, 1805], requests, PromptCheck()) == [False] * 3


def test_the_server_is_believed_once_it_has_read_as_much() -> None:
    check, (request, longer) = PromptCheck(), growing(2, words(1000))
    least = check.least_tokens(request, TokenUsage(1536, 1))
    assert least == 1536, "a multiple of 512"
    assert check.is_cut(1536, least, TokenUsage(1536, 1))
    assert not check.is_cut(1536, least, TokenUsage(1536 + 2 * FILLER, 1))
    assert checked([1536, 2048], [request, longer], check) == [False, True]


def test_the_filler_is_new_each_time() -> None:
    (request,) = growing(1, "what?")
    first, second = with_filler(request), with_filler(request)
    assert first.system != second.system
    assert first.system.endswith(request.system)
    assert len(first.system.split()) > FILLER


def test_another_branch_of_a_conversation_may_have_fewer_tokens() -> None:
    check, (first, second, third) = PromptCheck(), growing(3, words(1000))
    *_, other = growing(3, words(1000), added=160)
    assert checked([2001, 2901, 3801], [first, second, third], check) == [False] * 3
    # Fewer than the branch before, with more words.
    assert checked([2401], [other], check) == [False]
    assert checked([2003], [third], check) == [True], "fewer than a beginning of the same"
