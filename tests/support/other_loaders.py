"""What other tools' own loaders make of a file: a script that needs one of those tools and not hubel.

    python other_loaders.py inspect|delphi|openai|saebench|pandas PATH

It prints one JSON object. `tests/agent/exchange/test_other_loaders.py` runs it, with the Python of
HUBEL_ORACLES where the tools are installed elsewhere.
"""


# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any


def read_inspect(path: Path) -> dict[str, Any]:
    """By `read_eval_log`, the list of summaries, and the table of samples."""
    from inspect_ai.analysis import samples_df
    from inspect_ai.log import read_eval_log, read_eval_log_sample_summaries

    log = read_eval_log(str(path))
    frame = samples_df(str(path))
    return {
        "status": log.status,
        "task": log.eval.task,
        "samples": {
            sample.id: {
                "scores": {name: score.value for name, score in (sample.scores or {}).items()},
                "error": sample.error.message if sample.error else None,
                "completion": sample.output.completion,
                "messages": len(sample.messages),
            }
            for sample in log.samples or []
        },
        "means": {score.name: score.metrics["mean"].value for score in log.results.scores},
        "summaries": len(read_eval_log_sample_summaries(str(path))),
        "rows": len(frame),
    }


def read_delphi(path: Path) -> dict[str, Any]:
    """By `LatentDataset` and the loader of scores, without what they import for clients and plots."""
    for name in ("faiss", "sentence_transformers", "asyncer", "blobfile"):
        module = types.ModuleType(name)
        module.SentenceTransformer = object
        module.asyncify = lambda function: function
        sys.modules.setdefault(name, module)
    from delphi.config import ConstructorConfig, SamplerConfig
    from delphi.latents.loader import LatentDataset

    class Vocabulary:
        """Enough of a tokenizer: each id as text."""

        def batch_decode(self, ids: Any) -> list[str]:
            return [f"<{int(i)}>" for i in ids]

    config = json.loads((path / "run_config.json").read_text())
    context = config["constructor_cfg"]["example_ctx_len"]
    constructor = ConstructorConfig(example_ctx_len=context, min_examples=1, n_non_activating=0)
    sampler = SamplerConfig(**config.get("sampler_cfg", {}))
    dataset = LatentDataset(path / "latents", sampler, constructor, Vocabulary())
    records: dict[str, Any] = {}
    for buffer in dataset.buffers:
        for data in buffer:
            record = dataset._process_latent(data)
            if record is not None:
                shown = [[int(i) for i in example.tokens] for example in record.train]
                largest = max(float(example.activations.max()) for example in record.examples)
                records[str(record.latent)] = {
                    "windows": len(record.examples), "largest": largest, "shown": shown,
                }  # fmt: skip
    explanations = {
        file.stem: json.loads(file.read_bytes()) for file in (path / "explanations").glob("*.txt")
    }
    return {"records": records, "explanations": explanations}


def read_openai(path: Path) -> dict[str, Any]:
    """By the package's dataclasses, with its own split of the records."""
    from neuron_explainer.activations.activations import ActivationRecordSliceParams, NeuronRecord
    from neuron_explainer.explanations.explanations import NeuronSimulationResults
    from neuron_explainer.fast_dataclasses import loads

    units: dict[str, Any] = {}
    for file in sorted(path.glob("neurons*/*/*.json")):
        record = loads(file.read_text())
        assert isinstance(record, NeuronRecord)
        split = ActivationRecordSliceParams(n_examples_per_split=5)
        folder = file.parent.parent.name.replace("neurons", "explanations", 1)
        results = loads((path / folder / file.parent.name / f"{file.stem}.jsonl").read_text())
        assert isinstance(results, NeuronSimulationResults)
        units[f"{folder}/{file.parent.name}/{file.stem}"] = {
            "train": [record.tokens for record in record.train_activation_records(split)],
            "valid": len(record.valid_activation_records(split)),
            "largest": record.max_activation,
            "score": results.scored_explanations[0].get_preferred_score(),
            "explanation": results.scored_explanations[0].explanation,
        }
    return units


def read_saebench(path: Path) -> dict[str, Any]:
    """By the dataclass of the evaluation's output, strictly."""
    from pydantic import TypeAdapter
    from sae_bench.evals.autointerp.eval_output import AutoInterpEvalOutput

    output = TypeAdapter(AutoInterpEvalOutput).validate_json(path.read_text())
    metrics = output.eval_result_metrics.autointerp
    return {
        "score": metrics.autointerp_score,
        "std": metrics.autointerp_std_dev,
        "latents": output.eval_config.n_latents,
    }


def read_pandas(path: Path) -> dict[str, Any]:
    """By pandas."""
    import pandas as pd

    readers = {".csv": pd.read_csv, ".parquet": pd.read_parquet}
    read = readers.get(path.suffix, lambda path: pd.read_json(path, lines=True))
    frame = read(path)
    value = frame["simulation/holdout/random"]
    return {
        "columns": list(frame.columns),
        "r": {k: float(v) for k, v in zip(frame["target"], value, strict=True)},
    }


READERS = {
    "inspect": read_inspect,
    "delphi": read_delphi,
    "openai": read_openai,
    "saebench": read_saebench,
    "pandas": read_pandas,
}

if __name__ == "__main__":
    result = READERS[sys.argv[1]](Path(sys.argv[2]))
    print("RESULT " + json.dumps(result))  # noqa: T201 - after whatever a library prints
