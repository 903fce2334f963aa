"""A killed or interrupted pass goes on to the same files, bit for bit."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hubel.tools.errors import UsageError
from hubel.tools.index import ExemplarCounts, Progress, build_index
from hubel.tools.index.index import FORMAT
from hubel.tools.index.settings import BATCHES, claim_folder
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


def test_an_index_that_was_begun_with_other_batches_is_refused(tmp_path: Path) -> None:
    settings = {"format": FORMAT, "context_len": 512, BATCHES: 8, "directions_sha256": None}
    assert claim_folder(tmp_path / "same", settings) is None
    assert claim_folder(tmp_path / "same", settings) is None
    older = {key: value for key, value in settings.items() if key != BATCHES}
    assert claim_folder(tmp_path / "older", older) is None
    with pytest.raises(UsageError, match=f"another {BATCHES}"):
        claim_folder(tmp_path / "older", settings)
