"""SAEBench's result of its `autointerp` evaluation (0.6): one JSON file; written, not read.

Its score is the mean of detection accuracy over latents, with the standard deviation over them. So it
is written from held-out `detection`, and never from a correlation: a run without detection is refused.
What SAEBench's configuration has and a run does not is what its defaults are; the numbers of latents
and tokens are the run's own. Explanations and everything else of a unit are in
`eval_result_unstructured`, where SAEBench keeps its own.
"""

from __future__ import annotations

import json
import statistics
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from ....tools.errors import UsageError
from ..losses import ALL
from ..records import ExplainedUnit, ExplanationSet, RecordedScore, unit_row
from ..registry import ExchangeFormat
from ..run_texts import RunTexts

SCORER = "detection"
NAMESPACE = uuid.UUID("7d6cf0b8-7f2b-5a43-9a5e-1f3c5f4e2a10")
"""So that the same run has the same `eval_id`."""


def write_saebench(explanations: ExplanationSet, out: Path, _texts: RunTexts | None) -> list[str]:
    """Write the result of one evaluation."""
    scored = [(unit, score) for unit in explanations if (score := _detection(unit))]
    if not scored:
        raise UsageError(
            f"SAEBench's score is the accuracy of detection, which {explanations.name} does not have; "
            f"score it first: hubel eval {explanations.name} --scorers detection"
        )
    values = [score.value for _, score in scored]
    origin = explanations.origin
    name = f"{origin.revision or origin.subject}/{explanations.name}"
    document = {
        "eval_type_id": "autointerp",
        "eval_config": _config(explanations, scored),
        "eval_id": str(uuid.uuid5(NAMESPACE, name)),
        "datetime_epoch_millis": int(time.time() * 1000),
        "eval_result_metrics": {
            "autointerp": {
                "autointerp_score": statistics.fmean(values),
                "autointerp_std_dev": statistics.stdev(values) if len(values) > 1 else 0.0,
            }
        },
        "eval_result_details": [],
        "sae_bench_commit_hash": origin.tool or "hubel",
        "sae_lens_id": explanations.name,
        "sae_lens_release_id": origin.subject,
        "sae_lens_version": None,
        "sae_cfg_dict": {},
        "eval_result_unstructured": {
            unit.unit: _row(unit, number) for number, unit in enumerate(explanations)
        },
    }
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2)
    out.write_text(text + "\n", encoding="utf-8", errors="replace")
    without = len(explanations) - len(scored)
    return [f"in the mean: {without} units have no detection score, and are not"] if without else []


def _detection(unit: ExplainedUnit) -> RecordedScore | None:
    """Held-out detection; for a set of another tool, whatever it calls detection."""
    known = [score for score in unit.scores if score.scorer == SCORER and score.split != "select"]
    return next((score for score in known if score.split == "holdout"), known[0] if known else None)


def _config(
    explanations: ExplanationSet, scored: list[tuple[ExplainedUnit, RecordedScore]]
) -> dict[str, Any]:
    """SAEBench's settings with those of the run that there are."""
    origin = explanations.origin
    tokens = max((int(unit.statistics.get("n", 0)) for unit, _ in scored), default=0)
    return {
        "model_name": origin.subject,
        "n_latents": len(scored),
        "override_latents": None,
        "dead_latent_threshold": 15,
        "random_seed": origin.seed or 0,
        "dataset_name": origin.corpus,
        "llm_context_size": 64,
        "llm_batch_size": 1,
        "llm_dtype": "float32",
        "buffer": 10,
        "no_overlap": True,
        "act_threshold_frac": 0.01,
        "total_tokens": tokens,
        "scoring": True,
        "max_tokens_in_explanation": 30,
        "use_demos_in_explanation": False,
        "n_top_ex_for_generation": 10,
        "n_iw_sampled_ex_for_generation": 5,
        "n_top_ex_for_scoring": 2,
        "n_random_ex_for_scoring": 10,
        "n_iw_sampled_ex_for_scoring": 2,
    }


def _row(unit: ExplainedUnit, number: int) -> dict[str, Any]:
    row = unit_row(replace(unit, texts=(), conversation=()))
    score = _detection(unit)
    return {
        "latent": number,
        "explanation": unit.words,
        "score": score.value if score else None,
        "hubel": row,
    }


FORMATS = (
    ExchangeFormat(
        "saebench",
        "SAEBench",
        ALL - {"texts", "conversations"},
        (".json",),
        write_saebench,
    ),
)
