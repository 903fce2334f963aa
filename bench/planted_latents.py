"""Are explanations of latents right? A dictionary that reads planted units, and controls that mean
nothing, in one run.

1. A suite's units write to the stream after one layer. A dictionary reads each of them
   (`planted_dictionary`); two random dictionaries fire as often, and one has the planted latents'
   encoder and decoder rows of other latents.
2. The latents of the planted and of both random dictionaries are the targets of one run, which does
   not know what they are. What it says of planted latents is compared with the noiseless truth on
   holdout, as for planted units (`planted`). The fourth dictionary fires as the first does, so that
   its explanations are the same.
3. Its latents differ in what they cause: the effect of pushing each latent on the token that its unit
   writes is measured (`latent_effects`).
4. A latent is called better than its controls if its held-out r is a discovery among those of all
   latents of a random dictionary, or its effect among theirs on the same token: p is its rank, and
   false discoveries are controlled at 5 % over the latents. Of a random dictionary and of the
   permuted one, none should be better.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from ..agent.runlog.data_files import check_folder
from ..agent.runlog.layout import COLLECTED
from ..agent.runlog.views import target_rows
from ..evals.statistics.fdr import benjamini_hochberg, wilson
from ..tools.corpus import RULE, read_corpus
from ..tools.dictionaries.formats import saelens
from ..tools.dictionaries.read import read_dictionary
from ..tools.errors import UsageError
from ..tools.files import atomic_folder, cache_dir, file_sha256
from ..tools.subject.address import NO_LAYER, Site, Unit
from ..tools.subject.attach_latents import attach_latents
from . import planted_dictionary, planted_truth
from .latent_effects import effects_on_tokens
from .planted import PROJECT_SUITE, PlantedReport, TruthComparison, outcome, write_truth
from .planted_truth import PlantedResult

if TYPE_CHECKING:
    from ..agent.runlog.progress import Reporter
    from ..tools.dictionaries.dictionary import Dictionary
    from ..tools.subject import PlantedSubject, Subject, SuiteUnit

DICTIONARY_SUITE = PROJECT_SUITE.with_name("dictionary.toml")
PLANTED, RANDOM, PERMUTED = "planted", ("random1", "random2"), "permuted"
FIT_TEXTS = 160
"""Contexts of explore that the dictionary is fitted on: 10,000 tokens, 17 for each dimension of the
default subject's stream."""
PUSHED_TEXTS, PUSHED_TOKENS = 4, 32
"""Contexts of explore, cut to this length, on which effects are measured: 40 s for 216 latents."""
TOO_LONG = 10
"""Times the median length. Vectors that are longer (attention sinks) are left out of the fit."""


@dataclass(frozen=True)
class LatentComparison:
    """How many latents of one dictionary are called better than those of another, their control.

    Attributes:
        by: "explanation" (held-out r) or "effect".
        interval: of the share, 95 %.
    """

    of: str
    against: str
    by: str
    better: int
    latents: int
    share: float
    interval: tuple[float, float]


class KnownLatents(NamedTuple):
    """The bench's dictionaries, attached to the subject.

    Attributes:
        units: of the suite, in the order of the planted latents.
        name: of what is cached for them.
    """

    subject: PlantedSubject
    units: list[SuiteUnit]
    name: str

    def targets(self, dictionary: str) -> list[str]:
        """Latents of one dictionary, in the units' order."""
        return [f"sae.{dictionary}.{number}" for number in range(len(self.units))]

    @property
    def all_targets(self) -> list[str]:
        """Targets of the run."""
        return [target for name in (PLANTED, *RANDOM) for target in self.targets(name)]


def known_latents(
    subject: PlantedSubject, chosen: Sequence[SuiteUnit], corpus: str, seed: int
) -> KnownLatents:
    """Make the dictionaries, or read them from the cache, and attach them to the subject.

    Args:
        chosen: units of the suite; those that write give latents.

    Raises:
        UsageError: none of them writes, or they are of several layers.
    """
    layers = sorted({unit.layer for unit in chosen if any(part.writes for part in unit.parts)})
    if len(layers) != 1:
        raise UsageError(
            f"units of layers {layers} write to the stream; a dictionary needs a suite whose writing "
            f"units are of one layer, such as {DICTIONARY_SUITE.name} (the default)"
        )
    ids = {unit.id for unit in chosen}
    addresses = [
        unit
        for unit in planted_dictionary.writing_units(subject, layers[0])
        if subject.suite_unit_at[unit].id in ids
    ]
    units = [subject.suite_unit_at[unit] for unit in addresses]
    name = _cached_name(subject, units, corpus, seed)
    folder = cache_dir() / "dictionaries" / name
    if not folder.exists():
        with atomic_folder(folder) as part:
            for dictionary in _made(subject, addresses, seed):
                saelens.write(dictionary, part / dictionary.name)
    for dictionary_name in (PLANTED, *RANDOM):
        attach_latents(subject, read_dictionary(folder / dictionary_name, dictionary_name))
    return KnownLatents(subject, units, name)


def latents_index(known: KnownLatents, corpus_name: str, reporter: Reporter) -> Path:
    """Folder of the index over the latents; builds or completes it if need be."""
    from ..tools.index import build_index

    folder = cache_dir() / "indexes" / known.name
    build_index(
        known.subject,
        read_corpus(corpus_name),
        folder,
        sites=("sae",),
        store="none",
        progress=reporter,
        warn=reporter.say,
    )
    return folder


def evaluate_latents(folder: Path, known: KnownLatents, reporter: Reporter) -> PlantedReport:
    """Compare a finished run's explanations with the truth, and all latents with their controls."""
    check_folder(folder, COLLECTED)
    row_of = {row["target"]: row for row in target_rows(folder)}
    comparison = TruthComparison(known.subject, folder)
    planted = [
        comparison.result(unit, row_of[target])
        for unit, target in zip(known.units, known.targets(PLANTED), strict=True)
    ]
    controls = [
        PlantedResult(id=target, control="random", **outcome(row_of[target]))
        for name in RANDOM
        for target in known.targets(name)
    ]
    write_truth(folder, planted)
    results = [*planted, *controls]
    scores = dict(
        zip(
            (PLANTED, *RANDOM),
            np.array([row.r or 0.0 for row in results]).reshape(3, -1),
            strict=True,
        )
    )
    controls_of_all = {name: scores[name][:, None] for name in RANDOM}
    effects = _effects(known, reporter)
    own_effects = {name: effects[name].diagonal() for name in effects}
    compared = [
        *_compared(scores, controls_of_all, "explanation"),
        *_compared(own_effects, effects, "effect"),
    ]
    auroc = comparison.discrimination(known.units, planted)
    return PlantedReport(results, _summary(results, compared) | {"auroc": auroc})


def _summary(
    results: Sequence[PlantedResult], compared: Sequence[LatentComparison]
) -> dict[str, Any]:
    planted = [row for row in results if not row.control]
    missed = [row.id for row in planted if row.decidable and not row.recovered]
    meaningless = [row for row in compared if row.of != PLANTED]
    better = sum(row.better for row in meaningless)
    tried = sum(row.latents for row in meaningless)
    return planted_truth.summary(results) | {
        "calibration": planted_truth.calibration(planted),
        "missed": missed,
        "comparisons": [asdict(row) for row in compared],
        "controls_better": better / tried,
        "controls_better_interval": list(wilson(better, tried)[1:]),
        "scorers": None,
    }


def better_than_controls(
    values: Float[np.ndarray, " latent"], controls: Float[np.ndarray, "control #latent"]
) -> int:
    """How many values are discoveries among those of controls; p is the rank among them."""
    at_least = (controls >= values).sum(axis=0)
    p = (1 + at_least) / (1 + len(controls))
    return int(benjamini_hochberg(p.tolist()).sum())


def _compared(
    values: Mapping[str, Float[np.ndarray, " latent"]],
    controls: Mapping[str, Float[np.ndarray, "control #latent"]],
    by: str,
) -> list[LatentComparison]:
    """The latents of each dictionary against those of each other one that is random."""
    rows: list[LatentComparison] = []
    for of, own in values.items():
        for against in RANDOM:
            if of != against:
                better = better_than_controls(own, controls[against])
                share, low, high = wilson(better, len(own))
                row = LatentComparison(of, against, by, better, len(own), share, (low, high))
                rows.append(row)
    return rows


def _effects(
    known: KnownLatents, reporter: Reporter
) -> dict[str, Float[np.ndarray, "latent token"]]:
    """Each latent's effect on the tokens that the units write."""
    subject = known.subject
    latents = [
        Unit("sae", NO_LAYER, number, name)
        for name in (PLANTED, PERMUTED, *RANDOM)
        for number in range(len(known.units))
    ]
    if PERMUTED not in subject.dictionaries:  # not before: an index has all that are attached
        source = Path(subject.dictionaries[PLANTED].source).parent / PERMUTED
        attach_latents(subject, read_dictionary(source, PERMUTED))
    tokens = [subject.tokenize(unit.parts[0].writes).ids[0] for unit in known.units]
    lengths = [
        unit.weakest * float(row.norm())
        for unit, row in zip(known.units, subject.dictionaries[PLANTED].decoder, strict=True)
    ]
    effects = effects_on_tokens(
        subject,
        latents,
        tokens,
        _pushed_texts(subject),
        float(np.median(lengths)),
        lambda done, total: reporter.update("push latents", done, total, unit="texts"),
    )
    by_dictionary = effects.reshape(4, len(known.units), len(known.units))
    return dict(zip((PLANTED, PERMUTED, *RANDOM), by_dictionary, strict=True))


def _pushed_texts(subject: PlantedSubject) -> Int[np.ndarray, "text seq"]:
    """Beginnings of the longest contexts of explore."""
    contexts = subject.texts.contexts
    length = np.where(contexts.split == 0, contexts.length, 0).clip(max=PUSHED_TOKENS)
    rows = np.argsort(-length.astype(np.int64), kind="stable")[:PUSHED_TEXTS]
    return contexts.tokens[rows, : length[rows].min()]


def _made(subject: PlantedSubject, units: Sequence[Unit], seed: int) -> list[Dictionary]:
    site = Site("stream", units[0].layer)
    natural, planted_stream = (_vectors(of, subject, site) for of in (subject.base, subject))
    short = natural.norm(dim=1) < TOO_LONG * natural.norm(dim=1).median()
    known = planted_dictionary.planted_dictionary(subject, units, natural[short], PLANTED)
    controls = [
        replace(
            planted_dictionary.random_dictionary(known, planted_stream[short], 2 * seed + number),
            name=name,
        )
        for number, name in enumerate(RANDOM, 1)
    ]
    return [
        known,
        *controls,
        replace(planted_dictionary.permuted_decoder(known, seed), name=PERMUTED),
    ]


def _vectors(
    read: Subject, subject: PlantedSubject, site: Site
) -> Float[torch.Tensor, "row width"]:
    """The stream of the base or the planted subject, on the first contexts of explore."""
    contexts = subject.texts.contexts
    rows = np.flatnonzero(contexts.split == 0)[:FIT_TEXTS]
    parts: list[torch.Tensor] = []
    for start in range(0, len(rows), 32):
        batch = rows[start : start + 32]
        ids = torch.from_numpy(contexts.tokens[batch].astype(np.int64))
        captured = read.capture(ids, [site]).activations[site]
        parts.append(captured[torch.from_numpy(contexts.mask[batch])].float().cpu())
    return torch.cat(parts)


def _cached_name(
    subject: PlantedSubject, units: Sequence[SuiteUnit], corpus_name: str, seed: int
) -> str:
    """Names what is made of these units, by everything that decides it."""
    corpus = read_corpus(corpus_name)
    code = file_sha256(Path(planted_dictionary.__file__))
    ids = ",".join(unit.id for unit in units)
    digest = hashlib.sha256(f"{code} {ids} {seed} {FIT_TEXTS}".encode()).hexdigest()
    parts = (subject.name, subject.revision, corpus.name, corpus.sha256[:8], RULE, digest[:8])
    return "planted-latents-" + re.sub(r"[^A-Za-z0-9.-]+", "-", "-".join(parts))
