"""Neuronpedia's importer takes the rows of our bulk files: its database has their columns and misses none.

From `apps/webapp/prisma/schema.prisma` and `app/api/admin/import/route.ts` of its repository (commit
ebb8426): rows of the first seven tables are created as they are, so that an unknown column stops the
import; of the others only known columns are inserted. A column that is not null and has no default
must be there.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from hubel.agent.exchange.config import ImportConfig
from hubel.agent.exchange.export_run import export_run
from hubel.agent.exchange.formats.neuronpedia import CREATOR
from hubel.agent.exchange.imported import write_set
from hubel.agent.exchange.records import ExplanationSet

REQUIRED = {
    "release": "name description creatorName creatorId",
    "model": "id creatorId layers neuronsPerLayer owner",
    "sourceset": "modelId name description creatorName creatorId",
    "source": "id modelId setName creatorId",
    "explanation_type": "name displayName description creatorName creatorId",
    "explanation_model_type": "name displayName description creatorName",
    "explanation_score_type": "name displayName description creatorName creatorId",
    "explanation_score_model": "name displayName description creatorName",
    "features": "modelId layer index",
    "explanations": "id modelId layer index description authorId",
    "activations": "id modelId layer index tokens values maxValue maxValueTokenIndex minValue creatorId",
    "scores": "id initiatedByUserId value explanationId explanationScoreTypeName "
    "explanationScoreModelName",
}
ALLOWED = {"createdAt", "displayName", "releaseName"}
"""Further columns that we fill in the tables whose rows are created as they are."""


def test_every_row_has_what_the_database_asks_for(
    hostile_set: ExplanationSet, tmp_path: Path
) -> None:
    write_set(tmp_path / "runs" / "made", hostile_set, ImportConfig("x", "run"))
    export_run(tmp_path / "runs" / "made", "neuronpedia", tmp_path / "out")
    tables: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((tmp_path / "out").rglob("*.jsonl*")):
        name = path.parent.name if path.name.startswith("batch-") else path.stem
        text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        tables.setdefault(name, []).extend(map(json.loads, text.decode().splitlines()))
    assert set(tables) == set(REQUIRED)
    for name, rows in tables.items():
        required = set(REQUIRED[name].split())
        assert rows, name
        for row in rows:
            assert required <= {key for key, value in row.items() if value is not None}, name
            if name not in ("features", "explanations", "activations", "scores"):
                assert set(row) <= required | ALLOWED, name
    types = {row["name"] for row in tables["explanation_type"]}
    models = {row["name"] for row in tables["explanation_model_type"]}
    for row in tables["explanations"]:
        assert row["typeName"] in types
        assert row["explanationModelName"] in models
        assert row["authorId"] == CREATOR
    judges = {row["name"] for row in tables["explanation_score_model"]}
    assert {row["explanationScoreModelName"] for row in tables["scores"]} <= judges
