"""A killed or interrupted pass goes on to the same files, bit for bit; shards merge into the whole."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hubel.tools.corpus import Corpus, make_contexts
from hubel.tools.index import ExemplarCounts, Progress, build_index
from hubel.tools.index.batch_plan import Batch, BatchPlan, make_plan
from hubel.tools.index.site_totals import SiteTotals, merge_totals
from hubel.tools.index.store import statistics_columns, write_exemplars
from hubel.tools.index.thread_team import ThreadTeam
from hubel.tools.subject.address import Site
from hubel.tools.subject.subject import Subject
from tests.support.processes import checkout_environment

from .conftest import CONTEXT_LEN, small_corpus

SCRIPT = """
import os, signal, sys
from pathlib import Path
from tests.support.tiny import tiny_subject
from tests.tools.index.test_resume import build

def kill(progress):
    if progress.done >= int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

build(tiny_subject(), Path(sys.argv[1]), kill)
"""


def build(subject: Subject, out: Path, progress: object = None) -> None:
    counts = ExemplarCounts(top=(3, 2, 2), pool=(4, 2, 2), sample=(64, 32, 32))
    build_index(
        subject,
        small_corpus(150),
        out,
        context_len=CONTEXT_LEN,
        exemplar_counts=counts,
        checkpoint_every=2,
        progress=progress,  # type: ignore[arg-type]
    )


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.parquet"))}


@pytest.fixture(scope="module")
def whole(tiny: Subject, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole") / "i"
    build(tiny, folder)
    return files(folder)


@pytest.mark.slow
@pytest.mark.parametrize("after", [600, 2500, 5200])
def test_a_killed_build_resumes_to_the_same_files(
    tiny: Subject, whole: dict[str, bytes], tmp_path: Path, after: int
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "i"), str(after)],
        env=checkout_environment(),
        check=False,
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (tmp_path / "i" / "work").exists()
    reports: list[Progress] = []
    build(tiny, tmp_path / "i", reports.append)
    assert reports[0].done > 0 or after < 1000, "it should go on, not begin again"
    assert files(tmp_path / "i") == whole


def test_an_interrupted_build_resumes_to_the_same_files(
    tiny: Subject, whole: dict[str, bytes], tmp_path: Path
) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.done > 2500:
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            build(tiny, tmp_path / "i", interrupt)
    build(tiny, tmp_path / "i")
    assert files(tmp_path / "i") == whole


@pytest.mark.parametrize("team_size", [1, 3])
def test_shards_merge_into_the_whole(
    tiny: Subject, corpus: Corpus, tmp_path: Path, team_size: int
) -> None:
    contexts = make_contexts(corpus.documents, lambda text: tiny.tokenize(text).ids, CONTEXT_LEN)
    plan = make_plan(contexts, "explore", pool=5, sample=100, seed=0)
    site = Site("mlp", 1)
    states = []
    for name, (first, step) in {"a": (0, 2), "b": (1, 2), "whole": (0, 1)}.items():
        (tmp_path / name).mkdir()
        states.append(scanned(tiny, site, plan, tmp_path / name, first, step, team_size))
    merged, together = merge_totals(states[0], states[1]), states[2]
    assert merged.n == together.n
    for name, column in statistics_columns(merged).items():
        assert np.allclose(column, statistics_columns(together)[name], rtol=1e-6, atol=1e-9), name
    for folder, state in (("a", merged), ("whole", together)):
        write_exemplars(tmp_path / folder, state)
    paths = [tmp_path / folder / "exemplars" / "mlp-1.parquet" for folder in ("a", "whole")]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def scanned(
    subject: Subject,
    site: Site,
    plan: BatchPlan,
    folder: Path,
    first: int,
    step: int,
    team_size: int,
) -> SiteTotals:
    state = SiteTotals.empty(site, subject.shape.count(site), 3, plan, folder)
    with ThreadTeam(team_size) as team:
        for batch in plan.batches(first, step):

            def add(_site: Site, values: torch.Tensor, batch: Batch = batch) -> None:
                state.update(values.numpy(), batch, team.blocks)
                state.keep(values.numpy(), batch)

            subject.stream(torch.from_numpy(batch.tokens.astype(np.int64)), [site], add)
    return state
