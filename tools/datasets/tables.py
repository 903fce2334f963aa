"""Labelled texts from a table of the user's, or from a data set on the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from ..rows import Row, column_names, read_rows
from ..rows.hub_rows import hub_rows
from ..rows.table import MAX_ROWS
from .labelled_texts import LabelledTexts

TEXT_COLUMNS = ("text", "prompt", "sentence")
LABEL_COLUMNS = ("label", "target", "class")
_ROLES = ("text", "label", "group", "slices")


@dataclass(frozen=True)
class Columns:
    """Which column of a table is what."""

    text: str
    label: str
    group: str | None
    slices: tuple[str, ...]

    def all(self) -> list[str]:
        """Their names."""
        group = [] if self.group is None else [self.group]
        return [self.text, self.label, *group, *self.slices]


def read_table(
    path: Path,
    columns: str = "",
    *,
    text: str | None = None,
    label: str | None = None,
    group: str | None = None,
    slices: Sequence[str] = (),
) -> LabelledTexts:
    """Read a table; see `read_dataset`.

    Args:
        columns: as `text=review,label=stars`; arguments by name come first.

    Raises:
        UsageError: the file cannot be read, has no such column, or has a row without text or label.
    """
    if not path.exists():
        raise UsageError(f"no file {str(path)!r}; give the path of an existing table")
    names = column_names(path)
    if not names:
        raise UsageError(f"{path} has no rows; give a table with texts and labels")
    given = _given_columns(columns, text, label, group, slices)
    chosen = _choose(str(path), names, given)
    return _collect(path.name, read_rows(path, chosen.all()), chosen, f"file {path.name}")


def read_hub(
    spec: str,
    columns: str = "",
    *,
    text: str | None = None,
    label: str | None = None,
    group: str | None = None,
    slices: Sequence[str] = (),
) -> LabelledTexts:
    """Read a data set of the hub, `owner/name` (its split `train`) or `owner/name:split`.

    Raises:
        UnavailableError: the extra `hub` is not installed, or the hub does not give it.
        UsageError: as `read_table`.
    """
    rows: Iterator[Row] = iter(hub_rows(spec, f"{spec!r} is no data set here and no file"))
    first = next(rows, None)
    if first is None:
        raise UsageError(f"{spec!r} has no rows; name another split, as in {spec}:test")
    given = _given_columns(columns, text, label, group, slices)
    chosen = _choose(spec, list(first.cells), given)
    return _collect(spec, _prepend(first, rows), chosen, f"Hugging Face hub, {spec}")


def _prepend(first: Row, rows: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rows


def _given_columns(
    spec: str,
    text: str | None,
    label: str | None,
    group: str | None,
    slices: Sequence[str],
) -> dict[str, str]:
    """The columns that the user names, by role; several slices are joined with +."""
    by_name = {"text": text, "label": label, "group": group, "slices": "+".join(slices)}
    given: dict[str, str] = {}
    for part in filter(None, spec.split(",")):
        role, mark, column = part.partition("=")
        if role.strip() not in _ROLES or not mark or not column.strip():
            raise UsageError(
                f"{part!r} given after '::'; expected text=COLUMN, label=COLUMN, group=COLUMN or "
                "slices=COLUMN+COLUMN, separated by commas"
            )
        given[role.strip()] = column.strip()
    return given | {role: column for role, column in by_name.items() if column}


def _choose(place: str, names: Collection[str], given: dict[str, str]) -> Columns:
    slices = tuple(filter(None, given.get("slices", "").split("+")))
    chosen = Columns(
        given.get("text") or _default(place, names, "text", TEXT_COLUMNS),
        given.get("label") or _default(place, names, "label", LABEL_COLUMNS),
        given.get("group") or ("group" if "group" in names else None),
        slices,
    )
    for column in chosen.all():
        if column not in names:
            raise UsageError(f"{place} has no column {column!r}; it has {', '.join(names)}")
    return chosen


def _default(place: str, names: Collection[str], role: str, candidates: Sequence[str]) -> str:
    for name in candidates:
        if name in names:
            return name
    raise UsageError(
        f"{place} has the columns {', '.join(names)}, and none is {' or '.join(candidates)}; say "
        f"which is the {role}: {role}=COLUMN after '::'"
    )


def _collect(name: str, rows: Iterable[Row], columns: Columns, source: str) -> LabelledTexts:
    texts: list[str] = []
    labels: list[str] = []
    groups: list[str] = []
    slices: dict[str, list[str]] = {column: [] for column in columns.slices}
    for row in rows:
        if len(texts) == MAX_ROWS:
            raise UsageError(f"{name} has more than {MAX_ROWS:,} rows; give a smaller table")
        texts.append(_required(row, columns.text, "text", strict=True))
        labels.append(_required(row, columns.label, "label"))
        if columns.group is not None:
            groups.append(_required(row, columns.group, "group"))
        for column, values in slices.items():
            values.append(_cell(row, column) or "none")
    return LabelledTexts(
        name,
        tuple(texts),
        class_names(name, labels),
        tuple(groups),
        {column: tuple(values) for column, values in slices.items()},
        source,
        "the user's own",
    )


def _cell(row: Row, column: str, *, strict: bool = False) -> str | None:
    value = row.value(column)
    if isinstance(value, bool):
        return "true" if value else "false"
    return row.text(column, strict=strict)


def _required(row: Row, column: str, role: str, *, strict: bool = False) -> str:
    value = _cell(row, column, strict=strict)
    if value is None or not value.strip():
        raise row.error(f"no {role} under {column!r}; give one in every row, or leave the row out")
    return value


def class_names(name: str, labels: Sequence[str]) -> tuple[str, ...]:
    """Labels as names of classes; 1.0 is the class 1.

    Raises:
        UsageError: the labels are measured numbers and no classes.
    """
    try:
        numbers = [float(label) for label in labels]
    except ValueError:
        return tuple(labels)
    fractional = next((label for label in labels if not float(label).is_integer()), None)
    if fractional is not None:
        raise UsageError(
            f"data set {name!r}: the label {fractional} is a number with a fraction; labels are "
            "classes: give names, or cut the numbers into classes such as low and high"
        )
    return tuple(str(int(number)) for number in numbers)
