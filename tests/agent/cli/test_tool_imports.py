"""What makes a cold `hubel tool` slow is what it imports, so that is what is held."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hubel.tools.corpus import Document, corpus_from_documents
from hubel.tools.index import build_index
from hubel.tools.instruments import instruments
from hubel.tools.subject.subject import Subject
from tests.support.processes import run_python
from tests.support.tiny import WORDS, tiny_model, tiny_tokenizer

SUBJECT_ONLY = ("torch", "transformers", "tokenizers", "scipy")
NEVER = ("sklearn", "pandas", "datasets", "duckdb", "fastapi", "uvicorn", "mcp", "langgraph")
INDEX_ONLY = {
    name for name, instrument in instruments().items() if "subject" not in instrument.needs
}
ARGUMENTS = {
    "activations.exemplars": {"unit": "mlp.1.2"},
    "activations.statistics": {"unit": "mlp.1.2"},
    "concepts": {"family": "wordclass"},
}
"""Of each instrument that needs no subject."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny subject and its index."""
    from hubel.tools.subject import load_subject

    folder = tmp_path_factory.mktemp("tool")
    tokenizer = tiny_tokenizer()
    tiny_model(vocab_size=len(tokenizer)).save_pretrained(folder / "subject")
    tokenizer.save_pretrained(folder / "subject")
    subject: Subject = load_subject(str(folder / "subject"), device="cpu")
    documents = [Document(f"d{n}", f"{WORDS} {n}") for n in range(30)]
    corpus = corpus_from_documents("words", documents, sha256="0" * 64)
    build_index(subject, corpus, folder / "index", context_len=16)
    return folder


def imported_by(argv: list[str], status: int = 0) -> set[str]:
    """Which of the heavy packages a command imports."""
    done = run_python(
        "import json, sys; from hubel.agent.cli.main import run_command_line\n"
        f"status = run_command_line({argv!r})\n"
        f"print(json.dumps([status, sorted(set({(*SUBJECT_ONLY, *NEVER)!r}) & set(sys.modules))]))"
    )
    assert done.returncode == 0, done.stderr
    actual, names = json.loads(done.stdout.splitlines()[-1])
    assert actual == status, done.stderr
    return set(names)


def test_every_instrument_that_needs_no_subject_is_tried() -> None:
    assert set(ARGUMENTS) == INDEX_ONLY


@pytest.mark.parametrize("name", sorted(INDEX_ONLY))
def test_an_instrument_that_needs_no_subject_imports_no_torch(place: Path, name: str) -> None:
    arguments = json.dumps(ARGUMENTS[name])
    assert not imported_by(["tool", name, "--json", arguments, "--index", str(place / "index")])


@pytest.mark.parametrize(
    ("argv", "status"),
    [
        (["tool"], 0),
        (["tool", "activations.search", "--help"], 0),
        (["tool", "activations.search", "--schema"], 0),
        (["tool", "activations.search", "text=a", "k=0", "--subject", "smollm2-135m"], 2),
    ],
    ids=["list", "help", "schema", "wrong arguments"],
)
def test_what_runs_no_subject_imports_no_torch(argv: list[str], status: int) -> None:
    assert not imported_by(argv, status)


def test_an_instrument_that_runs_the_subject_imports_nothing_else(place: Path) -> None:
    argv = ["tool", "activations.search", "text=Monday the cat", "--index", str(place / "index")]
    assert imported_by(argv) >= {"torch", "transformers"}
    assert not imported_by(argv) & set(NEVER)
