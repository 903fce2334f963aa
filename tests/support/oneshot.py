"""The one-shot explainer that scores are usually reported for: marked exemplars in, one sentence
out.

As in delphi's default: 40 windows of 32 tokens, active tokens marked. A yardstick for costs and for
agents that claim to do better; it looks at explore alone, since the caller gives it that sample.
"""

from __future__ import annotations

import numpy as np

from hubel.evals.judge.ask import numbered, request_for
from hubel.evals.judge.protocol import Chat, JudgeError, Unscorable
from hubel.evals.scorers.windows import TokenText, by_quantile, cut_windows, mark_tokens
from hubel.evals.statistics.sample import Sample
from hubel.prompts import load

EXAMPLES = 40
MOST_WORDS = 40


def explain_once(chat: Chat, explore: Sample, printed: TokenText, seed: int = 0) -> str:
    """One sentence; JudgeError when there is none twice, Unscorable when nothing is active."""
    windows = cut_windows(explore, printed)
    chosen = by_quantile(windows, np.random.default_rng(seed), EXAMPLES)
    if not len(chosen) or windows.true.threshold <= 0:
        raise Unscorable("nothing on explore is active")
    order = chosen[np.argsort(-windows.true.strength[chosen], kind="stable")]
    strongest = windows.true.strength[order[0]]
    examples = [
        f"[{int(np.ceil(10 * windows.true.strength[w] / strongest))}] "
        + mark_tokens(windows.token_strings(int(w)), windows.tokens_at(int(w), windows.true.marked))
        for w in order
    ]
    request = request_for(
        load("explain"), numbered(examples), len(examples), 120, {}, logprobs=False
    )
    for _ in range(2):
        answer = chat.ask(request)
        sentence = " ".join(answer.text.split())
        if answer.complete and 0 < len(sentence.split()) <= 2 * MOST_WORDS:
            return " ".join(sentence.split()[:MOST_WORDS])
    raise JudgeError("explain: the explainer gave no sentence, twice")
