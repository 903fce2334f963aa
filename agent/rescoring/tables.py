"""Tables of explanations from anywhere (`tools.rows` says which kinds are read).

One row for each explanation: an address (``target``, ``address`` or ``unit``), a sentence
(``text``, ``explanation`` or ``description``) and optionally a ``predicate``; a text that is itself
a predicate counts as both. Everything is checked before a model is loaded, and all bad rows are
reported at once.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...tools.errors import HubelError, UsageError
from ...tools.rows import Row, column_names, kind_of, read_all_rows
from ...tools.subject.address import Unit

ADDRESS_COLUMNS = ("target", "address", "unit")
SENTENCE_COLUMNS = ("text", "explanation", "description")
REPORTED_ROWS = 5
_FOREIGN = (
    (
        {"modelId", "layer", "index"},
        "an export of Neuronpedia: write a table with the columns target (layer 6, index 650 of an "
        "MLP is mlp.6.650) and text (its description)",
    ),
    (
        {"str_tokens", "activating"},
        "scores of delphi, which hold no explanations: write a table with the columns target "
        "(latent 12 of layers.6.mlp is mlp.6.12) and text from its folder of explanations",
    ),
    (
        {"neuron_id", "scored_explanations"},
        "a result of OpenAI's neuron explainer: write a table with the columns target (layer_index "
        "and neuron_index 6 and 650 are mlp.6.650) and text (the explanation)",
    ),
)
"""Columns by which files of other tools are recognised, and what is said of them."""


@dataclass(frozen=True)
class Explanation:
    """A claim about one target; `place` is where a table has it."""

    target: str
    sentence: str
    predicate: str | None = None
    place: str = field(default="", compare=False)
    gist: str = ""
    """A language model's own words next to a formula."""

    @property
    def words(self) -> str:
        """What a reader is told who has only words, as in a run: the gist, else the sentence."""
        return self.gist or self.sentence

    @property
    def id(self) -> str:
        """Hash of the claim, 12 hex digits."""
        return hashlib.sha256(f"{self.words}\0{self.predicate or ''}".encode()).hexdigest()[:12]


def is_table(path: Path) -> bool:
    """Whether a path names a table, by its suffix."""
    return kind_of(path) is not None


def read_table(path: Path) -> list[Explanation]:
    """The explanations of a table, checked as far as possible without a subject.

    Raises:
        UsageError: the file or a column is missing, the table is empty, or rows cannot be used.
    """
    if not path.exists():
        raise UsageError(f"no table at {str(path)!r}")
    names = column_names(path)
    explanations = _explanations(path, names) if names else []
    if not explanations:
        raise UsageError(f"{path} has no rows; give one a target, with an address and a text")
    reject_faulty_rows(path.name, explanations, _fault)
    # scores, events and rows are kept by target, so there can be one explanation of each
    repeated = [t for t, n in Counter(e.target for e in explanations).items() if n > 1]
    if repeated:
        raise UsageError(f"{path} has {min(repeated)} more than once; compare two tables instead")
    return explanations


def _explanations(path: Path, names: Sequence[str]) -> list[Explanation]:
    address = _column(path, names, ADDRESS_COLUMNS)
    sentence = _column(path, names, SENTENCE_COLUMNS)
    explanations = []
    for row in read_all_rows(path, (address, sentence, "predicate")):
        claim, place = _one_line(row, sentence), row.place.removeprefix(f"{path.parent}/")
        predicate = _one_line(row, "predicate") or _as_predicate(claim)
        explanations.append(Explanation(_one_line(row, address), claim, predicate, place))
    return explanations


def reject_faulty_rows(
    name: str, explanations: Sequence[Explanation], fault: Callable[[Explanation], str]
) -> None:
    """Raise a UsageError that names the rows with a fault.

    Args:
        name: of the table.
        fault: why a row cannot be used, or "".
    """
    faults = [
        f"{explanation.place} ({explanation.target or 'no address'}): {reason}"
        for explanation in explanations
        if (reason := fault(explanation))
    ]
    if faults:
        more = len(faults) - REPORTED_ROWS
        raise UsageError(
            f"{name}: {len(faults)} of {len(explanations)} rows cannot be used: "
            f"{'; '.join(faults[:REPORTED_ROWS])}{f'; and {more} more' if more > 0 else ''}"
        )


def _fault(explanation: Explanation) -> str:
    """Why an explanation cannot be scored, or an empty string."""
    from ...tools.dissection import Predicate

    if not explanation.sentence:
        return "the text is empty"
    try:
        Unit.parse(explanation.target)
        if explanation.predicate is not None:
            Predicate.parse(explanation.predicate)
    except HubelError as error:
        return str(error)
    return ""


def _as_predicate(text: str) -> str | None:
    """A text that is a predicate, or None."""
    from ...tools.dissection import Predicate

    try:
        Predicate.parse(text)
    except HubelError:
        return None
    return text


def _one_line(row: Row, column: str) -> str:
    return " ".join((row.text(column) or "").split())


def _column(path: Path, columns: Sequence[str], names: tuple[str, ...]) -> str:
    for name in names:
        if name in columns:
            return name
    for signs, what in _FOREIGN:
        if signs <= set(columns):
            raise UsageError(f"{path} is {what}")
    raise UsageError(
        f"{path} has no column {' or '.join(map(repr, names))}; it has {', '.join(columns[:20])}"
    )
