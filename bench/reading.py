"""Blind reading: which of two systems' sentences says what a unit does, to a reader who sees exemplars?

1. Draw targets that both systems explain, with a seed.
2. Write a page: for each target the strongest contexts of explore on each of its sides, with the
   tokens marked on which it is active, and the two sentences in random order.
3. The reader grades each sentence in a table, 1 to 5 for meaning (does it say what the exemplars
   have in common?) and 1 to 5 for readability (is it plain English?). Which sentence is whose is in a
   file of its own, which the reader does not open.
4. Means by system with intervals over targets, and the paired difference.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from ..agent.rescoring.sources import ExplanationSource
from ..agent.runlog.layout import COLLECTED
from ..agent.runlog.lexicon import stored_lexicon
from ..evals.statistics.bootstrap import Interval
from ..evals.statistics.paired import Paired, compare_means, mean_over_units
from ..tools.errors import UsageError
from ..tools.files import atomic_file
from ..tools.files.untrusted_text import printable
from ..tools.index import Collected
from ..tools.rows import read_all_rows
from ..tools.subject.address import Unit

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE, GRADES, KEY = "page.txt", "grades.csv", "key.json"
EXEMPLARS = 6
"""Contexts of each side, of different documents."""
BEFORE, AFTER = 24, 8
"""Tokens shown around the strongest."""
STRONG, WEAK = 0.5, 0.2
"""Shares of the side's largest activation from which a token is marked «so», or ‹so›."""
SCALES = ("meaning", "readability")
_HEAD = """Blind reading of {n} targets (seed {seed})

Grade both sentences of each target in {grades}, from 1 (worst) to 5 (best):
  meaning      does the sentence say what the marked tokens have in common?
  readability  is it plain English that makes sense alone?
«Token»: at least half of the side's largest activation; ‹token›: at least a fifth.
"""


@dataclass(frozen=True)
class Pair:
    """Two sentences about a target, in the order in which they are shown, and whose they are."""

    target: str
    sentences: tuple[str, str]
    systems: tuple[str, str]


@dataclass(frozen=True)
class ReadingResult:
    """Grades of two systems on one scale."""

    scale: str
    means: Mapping[str, Interval | None]
    difference: Paired
    """The first system minus the second."""


def draw_pairs(
    first: ExplanationSource, second: ExplanationSource, targets: int, seed: int
) -> list[Pair]:
    """Targets that both systems explain, with the sentences in random order.

    Raises:
        UsageError: the systems have one name, or no target in common.
    """
    names = first.name, second.name
    if first.name == second.name:
        raise UsageError(f"both systems are called {first.name!r}; give two")
    sentences = [{e.target: e.sentence for e in source.explanations} for source in (first, second)]
    common = sorted(set(sentences[0]) & set(sentences[1]))
    if not common:
        raise UsageError(f"{first.name} and {second.name} explain no target in common")
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(len(common))[:targets]
    pairs = []
    for target in (common[place] for place in drawn):
        order = rng.permutation(2)
        shown = sentences[order[0]][target], sentences[order[1]][target]
        pairs.append(Pair(target, shown, (names[order[0]], names[order[1]])))
    return pairs


def write_reading(pairs: Sequence[Pair], folder: Path, run: Path, seed: int) -> None:
    """Write page, empty table of grades and key.

    Args:
        run: the folder of a run with the targets' activations.

    Raises:
        UsageError: the folder has a reading already, whose grades would be lost.
    """
    if (folder / GRADES).exists():
        raise UsageError(f"{folder / GRADES} exists; give another --out, or delete it")
    folder.mkdir(parents=True, exist_ok=True)
    explore = Collected.open(run / COLLECTED, "explore")
    strings = stored_lexicon(run).strings
    parts = [_HEAD.format(n=len(pairs), seed=seed, grades=GRADES)]
    parts += [_section(number, pair, explore, strings) for number, pair in enumerate(pairs, 1)]
    rows = ["target,sentence,meaning,readability"]
    for pair in pairs:
        rows += [f"{pair.target},1,,", f"{pair.target},2,,"]
    contents = {
        PAGE: "\n".join(parts),
        KEY: json.dumps(list(map(asdict, pairs)), indent=1),
        GRADES: "\n".join([*rows, ""]),
    }
    for name, content in contents.items():
        with atomic_file(folder / name) as part:
            part.write_text(content, encoding="utf-8")


def _section(number: int, pair: Pair, explore: Collected, strings: Sequence[str]) -> str:
    unit = Unit.parse(pair.target)
    lines = [f"{'=' * 80}", f"{number}. {pair.target}", ""]
    signal = explore.signal(unit)
    sides = [("active", signal)]
    if unit.side == "both":
        sides = [("positive", signal), ("negative", -signal)]
    for name, values in sides:
        lines.append(f"{name}:")
        lines += [f"  {line}" for line in _exemplars(values, explore, strings)] or ["  nothing"]
        lines.append("")
    lines += [f"sentence {place}: {text}" for place, text in enumerate(pair.sentences, 1)]
    return printable("\n".join(lines)) + "\n"


def _exemplars(
    values: Float[np.ndarray, "context seq"], explore: Collected, strings: Sequence[str]
) -> Iterator[str]:
    """The strongest contexts of different documents, with marked tokens."""
    values = np.where(explore.mask, values, 0.0)
    largest = values.max()
    shown: set[int] = set()
    for row in np.argsort(-values.max(axis=1), kind="stable"):
        document = int(explore.document[row])
        if document in shown or values[row].max() <= 0:
            continue
        shown.add(document)
        peak = int(values[row].argmax())
        span = range(max(peak - BEFORE, 0), min(peak + AFTER + 1, int(explore.length[row])))
        marked = [
            _marked(strings[int(explore.tokens[row, at])], values[row, at] / largest) for at in span
        ]
        yield " ".join("".join(marked).split())
        if len(shown) == EXEMPLARS:
            return


def _marked(token: str, share: float) -> str:
    for least, left, right in ((STRONG, "«", "»"), (WEAK, "‹", "›")):
        if share >= least and token.strip():
            start = len(token) - len(token.lstrip())
            return f"{token[:start]}{left}{token[start:]}{right}"
    return token


def read_grades(folder: Path) -> list[ReadingResult]:
    """What the reader's grades say of the two systems.

    Raises:
        UsageError: there is no reading in the folder, or a grade is missing or not from 1 to 5.
    """
    if not (folder / KEY).exists() or not (folder / GRADES).exists():
        raise UsageError(f"{folder} has no reading; make one with two runs: A B --out {folder}")
    rows = json.loads((folder / KEY).read_text(encoding="utf-8"))
    systems = {row["target"]: row["systems"] for row in rows}
    names = sorted({name for pair in systems.values() for name in pair})
    grades: dict[str, dict[str, dict[str, float]]] = {
        scale: {name: {} for name in names} for scale in SCALES
    }
    for row in read_all_rows(folder / GRADES, ("target", "sentence", *SCALES)):
        target, sentence = row.text("target"), row.text("sentence")
        if target not in systems or sentence not in ("1", "2"):
            raise row.error(f"target {target!r}, sentence {sentence!r}: not in {KEY}")
        for scale in SCALES:
            grade = (row.text(scale) or "").strip()
            if grade not in ("1", "2", "3", "4", "5"):
                raise row.error(f"{scale} is {grade!r}; expected a grade from 1 to 5")
            grades[scale][systems[target][int(sentence) - 1]][str(target)] = int(grade)
    first, second = names
    return [
        ReadingResult(
            scale,
            {name: mean_over_units(list(of_name.values())) for name, of_name in by_name.items()},
            compare_means(by_name[first], by_name[second]),
        )
        for scale, by_name in grades.items()
    ]
