"""A judge or simulator that is asked in batches: its answers are journaled like those of a direct one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from ....evals.judge.protocol import ChatAnswer, ChatRequest
from ..judge_adapter import answer_of, question_of
from ..prices import batch_share, price_of
from .service import BatchService, connect_batches
from .submission import Wanted

if TYPE_CHECKING:
    from ...runlog.log import Data
    from ...runlog.model_config import ModelConfig
    from ..conversation import Reply
    from ..meter import Payer
    from ..prices import Price
    from .desk import BatchDesk


@dataclass(frozen=True)
class BatchedJudge:
    """A language model behind a desk.

    Attributes:
        price: of its answers, with the provider's discount.
        share: what an answer costs of the usual price.
    """

    service: BatchService
    desk: BatchDesk
    price: Price | None
    share: float
    logprobs: bool

    def ask_later(
        self, payer: Payer, request: ChatRequest, row: Callable[[ChatAnswer], Data]
    ) -> NoReturn:
        """Note a question.

        Args:
            row: makes the row of the journal from the answer.

        Raises:
            AnswerPending: its answer will come.
            JudgeError: it was in a batch, and has no answer.
        """
        question = question_of(request, logprobs=self.logprobs)

        def row_of(reply: Reply) -> Data:
            return row(answer_of(reply, question, self.price))

        self.desk.ask_later(Wanted(payer, question, self.service, row_of), self.share)


def make_batched_judge(
    config: ModelConfig, desk: BatchDesk, *, logprobs: bool = False
) -> BatchedJudge:
    """A judge that is asked in batches. Nothing is sent.

    Raises:
        UsageError: the name is not of the form ``provider:MODEL``, or there is no key.
    """
    service = connect_batches(config)
    return BatchedJudge(service, desk, price_of(config, batch=True), batch_share(config), logprobs)
