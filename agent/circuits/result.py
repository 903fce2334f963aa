"""circuit.json: the result of a circuit run, as the review page and a user's own programs read it.

Its rows are typed here, without torch; `build_result` fills them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict, cast

from ...tools.errors import CorruptError, UsageError
from ...tools.files.regular_file import IrregularFileError, read_regular
from ..runlog.data_files import check_file
from ..runlog.layout import CIRCUIT, run_argument

FORMAT = 1
MAX_BYTES = 16 << 20
"""The largest circuit.json that is read; that of a large circuit has 2 MB. Parsed, it may take 20 times
as much."""

CircuitVerdict = Literal["kept", "rejected", "inconclusive"]


class IntervalRow(TypedDict):
    """A mean over prompts and its 95 % interval."""

    value: float
    low: float
    high: float


class FaithfulnessRow(IntervalRow):
    """f of the circuit on all held-out prompts."""

    prompts: int


class PredictionRow(TypedDict):
    """A prediction of a role, and the held-out value; `expected`: its bounds, None where it has none."""

    text: str
    quantity: str
    expected: list[float | None]
    observed: float | None
    low: float | None
    high: float | None
    outcome: Literal["for", "against", "void"]


class AttentionRow(TypedDict):
    """Attention to one kind of position, "END>IO" or the like."""

    what: str
    attention: float


class WrittenTokenRow(TypedDict):
    """A token that a component raises, and the logit that it adds."""

    token: str
    weight: float


class PatternRow(TypedDict):
    """A head's attention on the first prompt, a row per query."""

    prompt_tokens: list[str]
    pattern: list[list[float]]


class NodeRow(TypedDict):
    """A node of the circuit; only components with a role have numbers.

    `placebo`: share of the other components of which the role's predictions hold as well.
    """

    id: str
    layer: int
    kind: Literal["input", "head", "mlp", "logits"]
    in_circuit: bool
    component: str | None
    role: str | None
    description: str | None
    role_status: Literal["kept", "dropped"] | None
    placebo: float | None
    predictions: list[PredictionRow]
    effect: IntervalRow | None
    direct: IntervalRow | None
    queries: IntervalRow | None
    copies: float | None
    looks_at: list[AttentionRow]
    writes: list[WrittenTokenRow]
    attention: PatternRow | None


class EdgeRow(TypedDict):
    """An edge with its estimated effect, and the exact one where it was measured."""

    source: str
    target: str
    weight: float
    exact: float | None
    in_circuit: bool


class CurveRow(TypedDict):
    """f of the circuit at one size, and of a random circuit of that size."""

    share: float
    edges: int
    f: float
    low: float
    high: float
    random_f: float


class PanelRow(IntervalRow):
    """Share of the metric that one way of ablating leaves (denoising) or takes (noising)."""

    ablation: str
    level: Literal["edge", "node"]
    direction: Literal["denoising", "noising"]
    edges: int


class InterchangeRow(TypedDict):
    """What is lost when a component writes what another of its role writes, or a stranger without a role."""

    role: str
    component: str
    writes_as: str
    stranger: str
    change: IntervalRow
    random_change: IntervalRow


class WeightRow(IntervalRow):
    """f of the circuit on discovery prompts at one weight of opposing edges."""

    weight: float


class BalanceRow(TypedDict):
    """How much edges that work against the answer count in the ranking, and how many are in the circuit."""

    weight: float
    opposing_edges: int
    tried: list[WeightRow]


class EdgeDropRow(TypedDict):
    """How far f falls without one edge."""

    edge: str
    drop: float


class MinimalityRow(TypedDict):
    """How far f falls without single edges: means over the strongest ones and over random ones."""

    edges: list[EdgeDropRow]
    strongest: float
    random: float | None


class OverlapRow(TypedDict):
    """Mean overlap of circuits that are each found on `prompts` resampled prompts."""

    prompts: int
    jaccard: float


class StabilityRow(TypedDict):
    """Overlap at the run's own number of prompts, and at smaller ones."""

    jaccard: float
    draws: int
    by_prompts: list[OverlapRow]


class RivalRow(TypedDict):
    """Another circuit, from a ranking in which the first one's edges count `weight` times.

    `shared` is the share of its edges that the first one has too.
    """

    weight: float
    f: float
    shared: float


class RivalsRow(TypedDict):
    """Other circuits of the same size, and this one's f on the same prompts."""

    circuit_f: float
    tried: list[RivalRow]
    least_shared_of_the_faithful: float | None


class ImportedRow(TypedDict):
    """The file that an imported circuit comes from: what hubel does not keep of it, and what is missing."""

    format: str
    sha256: str
    listed_edges: int
    scored_edges: int
    chosen_by: str
    notes: list[str]
    missing: list[str]


class RoleCountsRow(TypedDict):
    """How many roles were kept; `placebo`: mean over the roles."""

    kept: int
    dropped: int
    placebo: float | None


class AbilityRow(TypedDict):
    """Whether the subject can do the task; `accuracy` is a Wilson interval."""

    accuracy: dict[str, float]
    top: float
    clean: IntervalRow
    corrupted: IntervalRow
    can: bool
    why: str


class PromptCountsRow(TypedDict):
    """Prompts of each part; `left_out`: by reason."""

    discovery: int
    heldout: int | None
    left_out: dict[str, int]
    words_left_out: list[str]


class _ResultHead(TypedDict):
    """Entries of every result.

    `edges` may leave out weak ones. `circuit_edges` has all edges of the circuit (each target with its
    sources), so that every figure can be measured again; older results do not have it.
    """

    format: int
    task: str
    summary: str
    subject: str
    subject_title: str
    subject_revision: str
    graph: dict[str, Any]
    explainer: str
    ablation: Literal["resample"]
    metric: str
    ability: AbilityRow
    prompts: PromptCountsRow
    reason: str
    nodes: list[NodeRow]
    edges: list[EdgeRow]
    circuit_edges: dict[str, list[str]]
    curve: list[CurveRow]
    panel: list[PanelRow]
    interchange: list[InterchangeRow]


class NoCircuit(_ResultHead):
    """The subject cannot do the task: lists are empty, all else is null."""

    verdict: Literal["cannot do"]
    model_score: None
    corrupted_score: None
    chosen_share: None
    chosen_edges: None
    faithfulness: None
    random: None
    completeness: None
    minimality: None
    stability: None
    rival: None
    curve_prompts: None
    cmd: None
    cpr: None
    balance: None
    calibration: None
    roles: None


class FoundCircuit(_ResultHead):
    """A circuit with its held-out numbers; scores are logit differences.

    Only an imported circuit has `imported`, and its `stability` is null.
    """

    verdict: CircuitVerdict
    model_score: float
    corrupted_score: float
    chosen_share: float
    chosen_edges: int
    faithfulness: FaithfulnessRow
    random: IntervalRow
    completeness: IntervalRow
    minimality: MinimalityRow
    stability: StabilityRow | None
    rival: RivalsRow
    curve_prompts: int
    cmd: float
    cpr: float
    balance: BalanceRow
    calibration: dict[str, dict[str, float | None]]
    roles: RoleCountsRow
    imported: NotRequired[ImportedRow]


CircuitResult = NoCircuit | FoundCircuit


def circuit_edges(result: CircuitResult) -> list[str]:
    """The names of all edges of the circuit; raises CorruptError if the result has only some."""
    by_target = result.get("circuit_edges")
    if by_target is not None:
        return [f"{source}->{target}" for target, row in by_target.items() for source in row]
    rows = [f"{row['source']}->{row['target']}" for row in result["edges"] if row["in_circuit"]]
    if len(rows) != (result["chosen_edges"] or 0):
        raise CorruptError(
            f"this circuit.json has {len(rows)} of the circuit's {result['chosen_edges']} edges and was "
            "written before all of them were kept; run the circuit again to have all"
        )
    return rows


def read_result(folder: Path) -> CircuitResult:
    """Read circuit.json of a run.

    Raises:
        UsageError: the run has not finished.
        CorruptError: the file was changed after the run ended, or cannot be read.
    """
    resume = f"`hubel resume {run_argument(folder)}`"
    try:
        return cast("CircuitResult", read_circuit(folder))
    except FileNotFoundError:
        raise UsageError(f"{folder.name} has not finished; {resume} continues it") from None


def read_circuit(folder: Path) -> dict[str, Any]:
    """The content of circuit.json, which may come from anybody; only its outermost form is checked.

    Raises:
        FileNotFoundError: there is none.
        CorruptError: it was changed after the run ended, is not a JSON object, is too large, or is a
            link out of the folder.
    """
    path, resume = folder / CIRCUIT, f"`hubel resume {run_argument(folder)}` writes it again"
    try:
        text = read_regular(path, MAX_BYTES, inside=folder)
        check_file(folder, CIRCUIT)
        circuit = json.loads(text)
    except IrregularFileError as error:
        raise CorruptError(f"{path} is not read: {error.strerror}; {resume}") from None
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"{path} cannot be read: {error}; {resume}") from None
    if not isinstance(circuit, dict):
        raise CorruptError(f"{path} is not a JSON object; {resume}")
    return circuit
