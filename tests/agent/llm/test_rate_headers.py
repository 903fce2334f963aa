"""What headers say of rate limits, on the forms that providers and their followers use."""

from __future__ import annotations

import pytest

from hubel.agent.llm.rate_headers import Allowance, allowances, retry_after


def test_openai_gives_durations() -> None:
    headers = {
        "x-ratelimit-limit-requests": "5000",
        "x-ratelimit-remaining-requests": "4999",
        "x-ratelimit-reset-requests": "12ms",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "1h2m3.5s",
    }
    assert allowances(headers) == (
        Allowance("requests", 4999, 5000, 0.012),
        Allowance("tokens", 0, None, 3723.5),
    )


def test_anthropic_gives_times_of_day_by_its_own_clock() -> None:
    headers = {
        "date": "Wed, 01 Jan 2025 00:00:00 GMT",
        "anthropic-ratelimit-input-tokens-limit": "80000",
        "anthropic-ratelimit-input-tokens-remaining": "79000",
        "anthropic-ratelimit-input-tokens-reset": "2025-01-01T00:00:30Z",
    }
    assert allowances(headers) == (Allowance("input-tokens", 79000, 80000, 30),)


@pytest.mark.parametrize("remaining", ["-1", "many", "", "nan", "inf"])
def test_what_cannot_be_read_says_nothing(remaining: str) -> None:
    headers = {"x-ratelimit-remaining-tokens": remaining, "x-ratelimit-reset-tokens": "1s"}
    assert allowances(headers) == ()
    assert (
        allowances({"x-ratelimit-remaining-tokens": "1", "x-ratelimit-reset-tokens": "soon"}) == ()
    )


def test_a_pause_in_milliseconds_seconds_or_until_a_time() -> None:
    assert retry_after({"retry-after-ms": "1500", "retry-after": "9"}) == 1.5
    assert retry_after({"retry-after": "2.5"}) == 2.5
    now = "Wed, 01 Jan 2025 00:00:00 GMT"
    assert retry_after({"retry-after": "Wed, 01 Jan 2025 00:01:00 GMT", "date": now}) == 60
    assert retry_after({"retry-after": "Wed, 01 Jan 2020 00:01:00 GMT", "date": now}) == 0
    for nothing in ({}, {"retry-after": "-3"}, {"retry-after": "later"}, {"retry-after": "nan"}):
        assert retry_after(nothing) is None
