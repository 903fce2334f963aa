"""Senses: after which layer does the vector of a word say in which sense it is meant?

1. Sentences in which a word comes after what gives it one of two senses (`SENTENCES`). A causal model
   reads nothing after the word, and the word is always in lower case.
2. The vector of the word's last token, standardised over all sentences after each layer.
3. The figure: the mean cosine of two sentences with the same word in the same sense, less that of two
   sentences with the same word in different senses.
4. Before any layer the vector is the word's embedding: every cosine is exactly 1, and the figure 0.
5. Control: senses shuffled within each word. Interval: bootstrap over words. The layer with the largest
   figure is chosen on a third of the words and measured on the others, since the largest of many is
   large by chance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...evals.statistics.grouped import mean_over_groups
from ..figures import LinePlot, PlottedLine
from ..registry import study
from ..result import StudyResult
from ..study_context import StudyContext
from ..verdicts import above

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ..measurements import Measured


class SenseSentence(NamedTuple):
    """A sentence that ends with the word."""

    word: str
    sense: int
    text: str


_SENTENCES = {
    "bank": (
        ("the boat drifted to the", "we fished from the muddy", "ducks slept on the river"),
        ("she borrowed money from the", "he paid the cheque into the", "the loan came from the"),
    ),
    "bat": (
        ("out of the dark cave flew a", "a wing of the sleeping", "in the attic hung a furry"),
        ("the batter swung his", "he hit the ball with a", "the baseball player broke his"),
    ),
    "spring": (
        ("after the cold winter came", "the tulips flower every", "birds build nests in"),
        ("the mattress has a broken", "inside the clock is a coiled", "the metal bounced like a"),
    ),
    "match": (
        ("he lit the candle with a", "the fire began with one", "she struck a wooden"),
        ("our team won the football", "the referee ended the tennis", "ten thousand fans saw the"),
    ),
    "seal": (
        ("on the ice lay a grey", "the zoo keeper fed fish to the", "in the sea swam a young"),
        ("the king closed the letter with a", "the document bears a wax", "stamped with an official"),
    ),
    "plant": (
        ("she watered the green", "the gardener grew a rare", "leaves fell from the dying"),
        ("workers went on strike at the car", "the factory built a second", "the nuclear power"),
    ),
    "crane": (
        ("in the marsh stood a white", "the bird watcher saw a", "with its long beak fished a"),
        ("builders lifted the beam with a", "over the harbour towers a steel", "the driver of the"),
    ),
    "palm": (
        ("on the sandy beach stood a", "coconuts fell from the tall", "in the shade of a tropical"),
        ("she read the lines in his", "he held a coin in his", "sweat ran down from her open"),
    ),
    "mouse": (
        ("the cat caught a", "some cheese was eaten by a", "a small tail had the grey"),
        ("click twice with the computer", "she plugged in a keyboard and a", "move the cursor with the"),
    ),
    "pupil": (
        ("the teacher praised the", "at the school arrived a new", "homework was given to every"),
        ("light narrows the eye's", "the doctor shone a lamp at the", "inside the iris is the black"),
    ),
    "trunk": (
        ("the elephant lifted its", "with water from its grey", "the zoo animal sprayed with its"),
        ("he packed his clothes into a", "the suitcase lay in the car's", "she locked the old leather"),
    ),
    "wave": (
        ("the surfer rode a", "the ship was hit by a huge", "on the sea rose a foaming"),
        ("she said goodbye with a", "he greeted us with a", "from the window she gave a friendly"),
    ),
}  # fmt: skip
SENTENCES = tuple(
    SenseSentence(word, sense, f"{start} {word}")
    for word, senses in _SENTENCES.items()
    for sense, start in zip((0, 0, 0, 1, 1, 1), senses[0] + senses[1], strict=True)
)
SHUFFLES = 20


@study(
    "senses",
    question="After which layer does a word's vector say in which sense it is meant?",
    small=True,
)
def senses(study: StudyContext, seed: int = 0) -> StudyResult:
    """Compare the vectors of a word between sentences that use it in the same sense and in another."""
    measured = study.measured("words", lambda: measure_words(study))
    return conclude(measured["vectors"], measured["word"], measured["sense"], seed)


def measure_words(study: StudyContext) -> Measured:
    """The vector of each sentence's last token after each layer, [layer, sentence, width]."""
    from ...tools.representation.collect import collect, stream_sites

    texts = [sentence.text for sentence in SENTENCES]
    sites = stream_sites(study.subject.shape.n_layers)
    vectors = collect(study.subject, texts, sites, pooling="last")
    words = sorted({sentence.word for sentence in SENTENCES})
    return {
        "vectors": vectors,
        "word": np.array([words.index(sentence.word) for sentence in SENTENCES]),
        "sense": np.array([sentence.sense for sentence in SENTENCES]),
    }


def conclude(
    vectors: Float[np.ndarray, "layer sentence width"],
    word: Int[np.ndarray, " sentence"],
    sense: Int[np.ndarray, " sentence"],
    seed: int = 0,
) -> StudyResult:
    """The claim, a row for each layer, and both cosines by layer."""
    cosines = [cosines_of(layer) for layer in vectors]
    figures = np.stack([sense_difference(each, word, sense) for each in cosines])  # layer word
    rng = np.random.default_rng(seed)
    shuffled = np.mean(
        [
            [sense_difference(each, word, shuffled_senses(word, sense, rng)) for each in cosines]
            for _ in range(SHUFFLES)
        ],
        axis=0,
    )
    order = rng.permutation(figures.shape[1])
    chosen, tested = order[::3], np.setdiff1d(order, order[::3])
    layer = int(figures[:, chosen].mean(axis=1).argmax())
    claim = above(
        f"after layer {layer - 1} the vector of a word says in which of two senses it is meant "
        "(cosine within a sense less across senses)"
        if layer
        else "the embedding of a word says in which of two senses it is meant",
        mean_over_groups(figures[layer, tested], seed=seed),
        float(shuffled[layer, tested].mean()),
        len(tested),
    )
    rows = [
        {
            "layer": place - 1,
            "within a sense": within,
            "across senses": across,
            "difference": float(figures[place].mean()),
            "senses shuffled": float(shuffled[place].mean()),
        }
        for place, (within, across) in enumerate(
            mean_cosines(each, word, sense) for each in cosines
        )
    ]
    layers = [place - 1 for place in range(len(vectors))]
    lines = [
        PlottedLine(
            name, layers, [float(row[name]) for row in rows], is_control=name == "senses shuffled"
        )
        for name in ("difference", "senses shuffled")
    ]
    title = "Cosine of a word's vectors within a sense less across senses"
    return StudyResult(rows, [claim], [LinePlot("senses", title, "layer", "cosine", lines)])


def cosines_of(
    vectors: Float[np.ndarray, "sentence width"],
) -> Float[np.ndarray, "sentence sentence"]:
    """Cosine of every two sentences after standardising; 1 for equal vectors."""
    from ...tools.representation.scale import standardise

    scaled = standardise(vectors, "the vectors of the words").astype(np.float64)
    lengths = np.linalg.norm(scaled, axis=1)
    scaled /= np.where(lengths > 0, lengths, 1)[:, None]
    return scaled @ scaled.T


def _pairs(
    word: Int[np.ndarray, " sentence"], sense: Int[np.ndarray, " sentence"]
) -> tuple[np.ndarray, np.ndarray]:
    """Which two sentences have the same word in one sense, and in two."""
    same_word = (word[:, None] == word) & ~np.eye(len(word), dtype=bool)
    same_sense = sense[:, None] == sense
    return same_word & same_sense, same_word & ~same_sense


def mean_cosines(cosines: np.ndarray, word: np.ndarray, sense: np.ndarray) -> tuple[float, float]:
    """Mean cosine of sentences with the same word, within a sense and across senses."""
    within, across = _pairs(word, sense)
    return float(cosines[within].mean()), float(cosines[across].mean())


def sense_difference(
    cosines: np.ndarray, word: np.ndarray, sense: np.ndarray
) -> Float[np.ndarray, " word"]:
    """Mean cosine within a sense less across senses, of each word."""
    within, across = _pairs(word, sense)
    return np.array(
        [
            cosines[within & (word == number)[:, None]].mean()
            - cosines[across & (word == number)[:, None]].mean()
            for number in np.unique(word)
        ]
    )


def shuffled_senses(
    word: np.ndarray, sense: np.ndarray, rng: np.random.Generator
) -> Int[np.ndarray, " sentence"]:
    """The senses of each word, shuffled among its sentences."""
    shuffled = sense.copy()
    for number in np.unique(word):
        shuffled[word == number] = rng.permutation(sense[word == number])
    return shuffled
