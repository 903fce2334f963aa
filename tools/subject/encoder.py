"""An encoder as a subject: BERT and its relatives, which read text in both directions.

1. A text gets the tokens that the family puts around it, [CLS] and [SEP], since an encoder has never
   read one without. They cover no characters. Position 0, which nothing counts, is then [CLS].
2. Each token sees all others, so that padding must be masked. Trailing ids that are 0 or the
   tokenizer's padding are padding: no text ends so, for its last token is [SEP].
3. There is no next token and so no loss, circuit, logit lens or generation: `require_decoder` refuses.
"""

from __future__ import annotations

from typing import Any

from jaxtyping import Bool, Int
from torch import Tensor, nn

from ..errors import UsageError
from .architectures import encoder_message
from .subject import Subject
from .tokenizer import Tokens


class Encoder(Subject):
    """A subject whose tokens see the whole text; it has activations and attention, and no logits."""

    bidirectional = True

    def __init__(self, model: nn.Module, tokenizer: Any, **options: Any) -> None:
        super().__init__(model, tokenizer, **options)
        if self.architecture.encoder is None:
            raise UsageError(
                f"{self.name!r} is a decoder ({self.architecture.model_type}); an encoder is expected "
                "here: bert, roberta, xlm-roberta, electra or distilbert"
            )
        self.context_length -= self.architecture.encoder.reserved_positions

    def tokenize(self, text: str) -> Tokens:
        """The text's tokens between the family's own first and last one, which cover no characters."""
        ids, offsets = super().tokenize(text)
        first, last = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        if first is not None:
            ids, offsets = [first, *ids], [(0, 0), *offsets]
        if last is not None:
            ids, offsets = [*ids, last], [*offsets, (len(text), len(text))]
        return Tokens(ids, offsets)

    def mask(self, ids: Int[Tensor, "batch seq"]) -> Bool[Tensor, "batch seq"] | None:
        """False at padding; None where there is none."""
        is_token = (ids != 0) & (ids != (self.tokenizer.pad_token_id or 0))
        # A row's last token, and all before it; at least one, so that attention has a key.
        seen = is_token.flip(1).cumsum(1).flip(1) > 0
        seen[:, 0] = True
        return None if bool(seen.all()) else seen

    def require_decoder(self, what: str) -> None:
        """Raise UsageError: an encoder predicts no next token."""
        raise UsageError(encoder_message(repr(self.name), what))
