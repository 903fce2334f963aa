"""The examples of CONTRIBUTING.md do what the page says, each as one new file."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import hubel
from hubel.agent.runlog.config import RunConfig
from hubel.tools.errors import UsageError
from hubel.tools.subject.subject import Subject

PAGE = (Path(hubel.__file__).parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLES: dict[str, str] = dict(re.findall(r"```python\n# (\S+\.py)\n(.*?)```", PAGE, re.DOTALL))


def load(path: str) -> ModuleType:
    """An example as the module that it would be at its path."""
    name = "hubel." + path.removesuffix(".py").replace("/", ".")
    module = ModuleType(name)
    module.__package__ = name.rpartition(".")[0]
    sys.modules[name] = module
    exec(compile(EXAMPLES[path], path, "exec"), module.__dict__)
    return module


@pytest.fixture(autouse=True)
def forget_examples(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Registries and loaded modules are as before after each test."""
    from hubel.evals.scorers import registry as scorers
    from hubel.tools.instruments import registry as instruments
    from hubel.tools.subject import architectures

    instruments.instruments()  # register what is really there first
    scorers.scorer_names()
    for module, name in (
        (instruments, "_REGISTRY"),
        (scorers, "_SCORERS"),
        (architectures, "ARCHITECTURES"),
    ):
        monkeypatch.setattr(module, name, dict(getattr(module, name)))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("hubel."):
            del sys.modules[name]


def test_an_instrument_is_one_file(tiny: Subject) -> None:
    from hubel.tools.instruments import InstrumentContext, call

    load("tools/instruments/firing_rate.py")
    context = InstrumentContext(subject=tiny)
    always = call(
        "activations.rate", {"unit": "mlp.1.3", "text": "the cat", "level": -1e9}, context
    )
    never = call("activations.rate", {"unit": "mlp.1.3", "text": "the cat", "level": 1e9}, context)
    assert (always.to_json()["rate"], never.to_json()["rate"]) == (1.0, 0.0)


def test_a_scorer_is_one_file() -> None:
    from dataclasses import replace

    from hubel.evals.scorers.registry import get_scorer
    from tests.support.fruit import make_task

    load("evals/scorers/rank.py")
    task = make_task()
    constant = replace(task.sample, predicted=0 * task.sample.predicted)
    (score,) = get_scorer("rank")(task)
    (chance,) = get_scorer("rank")(replace(task, sample=constant))
    assert score.value > 0.1
    assert chance.value == 0


def test_an_explainer_is_one_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from hubel.agent import explainers
    from hubel.agent.explainers.protocol import InvestigationView, TargetData
    from hubel.tools.dissection import Lexicon
    from hubel.tools.subject.address import Unit

    (tmp_path / "strongest_token.py").write_text(EXAMPLES["agent/explainers/strongest_token.py"])
    monkeypatch.setattr(explainers, "__path__", [*explainers.__path__, str(tmp_path)])
    explainer = explainers.make_explainer(
        "strongest-token", RunConfig(index="i", targets=["mlp.0.0"])
    )
    tokens = np.tile(np.arange(4), (6, 1))
    data = TargetData(
        tokens=tokens,
        length=np.full(6, 4),
        document=np.arange(6),
        mask=np.ones_like(tokens, dtype=bool),
        signal=(tokens == 2).astype(float),
        lexicon=Lexicon([" a", " b", " cat", " d"]),
        cache={},
    )
    view = InvestigationView(
        unit=Unit.parse("mlp.0.0"), round=0, moves=0, seed=0, observation={}, explore=lambda: data
    )
    (hypothesis,) = explainer.move(view).hypotheses
    assert hypothesis.predicate == 'strongly words("cat")'


def test_a_model_family_is_one_entry() -> None:
    from hubel.tools.subject.selftest import self_test
    from tests.support.tiny import tiny_subject

    with pytest.raises(UsageError, match="'stablelm' are not known"):
        tiny_subject("stablelm")
    load("tools/subject/stablelm.py")
    self_test(tiny_subject("stablelm"))  # raises where the entry does not fit the model
