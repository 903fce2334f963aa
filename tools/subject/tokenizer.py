"""A subject's tokenizer: the one place where text becomes tokens.

1. It is read from the folder alone, and never runs code that comes with it.
2. Its ids must be rows of the embedding.
3. A control token that is spelled out in a text, such as <|endoftext|>, is text like any other: the
   model would otherwise read it as an instruction, which it is not.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import ArgumentError, UsageError
from .folder import MAX_BYTES
from .json_object import read_json_object
from .library_errors import as_usage_error
from .silence_transformers import silent_and_offline

_JSON = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
_FILES = ("tokenizer.json", "tokenizer.model", "spiece.model", "tekken.json")


class Tokens(NamedTuple):
    """A text's tokens: ids, and the span of characters that each covers."""

    ids: list[int]
    offsets: list[tuple[int, int]]


def load_tokenizer(folder: Path, config: Any) -> tuple[Any, list[str]]:
    """The tokenizer of a folder, and a line on each thing in its files that was not followed.

    Raises:
        UsageError: it is missing or damaged, gives no spans, or is larger than the embedding.
    """
    from transformers import AutoTokenizer

    if not any((folder / name).exists() for name in _FILES) and not (
        (folder / "vocab.json").exists() and (folder / "merges.txt").exists()
    ):
        raise UsageError(f"no tokenizer.json in {str(folder)!r}; fetch the model again")
    small = [name for name in _JSON[1:] if (folder / name).exists()]
    contents = {name: read_json_object(folder / name, MAX_BYTES) for name in small}
    notes = [
        f"{name} of {folder.name!r} names custom code (auto_map), which is never run"
        for name, content in contents.items()
        if content.get("auto_map")
    ]
    failure = f"the tokenizer in {str(folder)!r} cannot be loaded"
    try:
        with as_usage_error(failure), silent_and_offline():
            tokenizer: Any = AutoTokenizer.from_pretrained(
                folder, config=config, local_files_only=True, trust_remote_code=False
            )
            is_fast: bool = tokenizer.is_fast
    except UsageError:
        # Names the file at fault, as transformers does not. Only after a failure, since it is large.
        if (folder / "tokenizer.json").exists():
            read_json_object(folder / "tokenizer.json", MAX_BYTES)
        raise
    if not is_fast:
        raise UsageError(
            f"the tokenizer in {str(folder)!r} gives no character spans; add a tokenizer.json"
        )
    with as_usage_error(failure):
        _check_ids(folder, tokenizer, config.vocab_size)
        ids = TextEncoder(tokenizer)("A text.").ids
    if not ids:
        raise UsageError(f"{failure}: it makes no tokens of a text; fetch the model again")
    return tokenizer, notes


class TextEncoder:
    """Cuts raw text into tokens: no beginning-of-sequence token, control tokens as plain text.

    Control tokens are those that the tokenizer calls special or has a name for, and those that its
    chat template writes. Other added tokens, such as runs of spaces, are parts of text.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        unmarked = _unmarked_control_tokens(tokenizer)
        if unmarked:
            tokenizer.backend_tokenizer.add_special_tokens(unmarked)
        self._control = set(tokenizer.all_special_ids) | {
            id
            for id, token in tokenizer.added_tokens_decoder.items()
            if token.special or token in unmarked
        }

    def __call__(self, text: str) -> Tokens:
        """The text's tokens; raises ArgumentError for a lone surrogate, which is not a character."""
        tokens = self._encode(text)
        if self._control.isdisjoint(tokens.ids):
            return tokens
        # Some tokenizers have control tokens among the pieces that they put together from
        # characters. The text is then cut inside each.
        spelled = self._tokenizer.convert_ids_to_tokens
        cuts = [
            end - 1
            for id, (start, end) in zip(*tokens, strict=True)
            if id in self._control and end - start > 1 and text[start:end].strip() == spelled(id)
        ]
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        for first, last in pairwise([0, *cuts, len(text)]):
            part = self._encode(text[first:last])
            ids += part.ids
            offsets += [(start + first, end + first) for start, end in part.offsets]
        if not self._control.isdisjoint(ids):
            return tokens  # an ordinary word that is also a control token, and has no other pieces
        return Tokens(ids, offsets)

    def _encode(self, text: str) -> Tokens:
        try:
            encoding = self._tokenizer(
                text,
                add_special_tokens=False,
                return_offsets_mapping=True,
                split_special_tokens=True,
                verbose=False,
            )
        except (TypeError, UnicodeEncodeError) as error:
            place = next((i for i, c in enumerate(text) if "\ud800" <= c <= "\udfff"), None)
            if place is None:
                raise
            raise ArgumentError(
                f"character {place} of the text {text[:40]!r} is a lone surrogate, half of a "
                "character; remove it"
            ) from error
        return Tokens(encoding["input_ids"], encoding["offset_mapping"])


def _unmarked_control_tokens(tokenizer: Any) -> list[Any]:
    """Control tokens among the added tokens that the tokenizer does not mark as special."""
    template = tokenizer.chat_template
    templates = list(template.values()) if isinstance(template, dict) else [template or ""]
    named = set(tokenizer.all_special_tokens)
    unmarked: list[Any] = []
    for token in tokenizer.added_tokens_decoder.values():
        if token.special or not token.content.strip():
            continue
        in_template = any(token.content in text for text in templates)
        if in_template or token.content in named:
            unmarked.append(token)
    return unmarked


def _check_ids(folder: Path, tokenizer: Any, n_rows: int) -> None:
    ids = tokenizer.get_vocab()
    if not ids:
        raise UsageError(f"the tokenizer in {str(folder)!r} has no tokens; fetch the model again")
    beyond = sorted((id, token) for token, id in ids.items() if id >= n_rows)
    if any(_is_in_files(folder, tokenizer, id, token) for id, token in beyond):
        shown = ", ".join(f"{id} {token!r}" for id, token in beyond[:3])
        more = f" and {len(beyond) - 3} more" if len(beyond) > 3 else ""
        raise UsageError(
            f"the tokenizer in {str(folder)!r} has {max(ids.values()) + 1:,} ids, the embedding "
            f"{n_rows:,} rows (vocab_size): tokens {shown}{more} have none; take the model's own "
            "tokenizer, or resize the embedding (model.resize_token_embeddings)"
        )


def _is_in_files(folder: Path, tokenizer: Any, id: int, token: str) -> bool:
    """False for a control token that transformers has added itself, as it does for some families.

    No text contains it, so that it needs no row.
    """
    added = tokenizer.added_tokens_decoder.get(id)
    if added is None or not added.special:
        return True
    written = json.dumps(token, ensure_ascii=False)
    paths = (folder / name for name in _JSON)
    return any(written in path.read_text(encoding="utf-8") for path in paths if path.exists())
