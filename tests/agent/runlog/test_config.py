"""Configurations are values in the program and flat keys in `config.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from hubel.agent.circuits.config import CircuitConfig, is_circuit
from hubel.agent.runlog.config import RunConfig, find_run
from hubel.agent.runlog.model_config import BudgetConfig, ModelConfig, is_language_model
from hubel.tools.errors import CorruptError, UsageError

FULL = RunConfig(
    index="i",
    targets=["mlp.0.1-"],
    explainer=ModelConfig(
        "openai:m", "http://127.0.0.1:1/v1", {"input": 3.0, "output": 15.0}, "low", "", "text"
    ),
    simulator=ModelConfig("anthropic:s", "http://127.0.0.1:2"),
    judge=ModelConfig("openai:j", price={"input": 1.0, "output": 2.0}),
    budget=BudgetConfig({"usd": 1.0}, {"calls": 9.0}),
)


def test_a_configuration_is_read_as_it_was_written(tmp_path: Path) -> None:
    FULL.save(tmp_path)
    assert RunConfig.load(tmp_path) == RunConfig.load(tmp_path / "config.toml") == FULL


def test_the_keys_of_the_file_are_flat_and_stay_what_they_were(tmp_path: Path) -> None:
    FULL.save(tmp_path)
    settings = tomllib.loads((tmp_path / "config.toml").read_text())
    models = {
        "explainer": "openai:m",
        "base_url": "http://127.0.0.1:1/v1",
        "price": {"input": 3.0, "output": 15.0},
        "effort": "low",
        "thinking": "",
        "tools": "text",
        "simulator": "anthropic:s",
        "simulator_base_url": "http://127.0.0.1:2",
        "simulator_price": {},
        "judge": "openai:j",
        "judge_base_url": "",
        "judge_price": {"input": 1.0, "output": 2.0},
        "budget": {"usd": 1.0},
        "target_budget": {"calls": 9.0},
    }
    assert {key: settings[key] for key in models} == models
    others = (
        "index targets concurrency max_contexts rounds patience simulator_contexts logprobs competitor "
        "seed device dtype script suite collected_together batch nulls dictionaries note "
        "after_viewing origin subject corpus versions intervals definitions format rotated"
    )
    assert set(settings) == {*models, *others.split()}


def test_the_configuration_of_every_example_loads() -> None:
    runs = Path(__file__).parents[3] / "runs"
    assert RunConfig.load(runs / "example").explainer == ModelConfig("compositional")
    explainer = RunConfig.load(runs / "example-model").explainer
    assert explainer.base_url
    assert explainer.price["input"] == 3.0
    circuit = CircuitConfig.load(runs / "example-circuit")
    assert circuit.explainer.name == "compositional"
    assert is_circuit(runs / "example-circuit")
    assert not is_circuit(runs / "example")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"index": "i"}, "'targets' is missing"),
        ({"index": "i", "targets": [], "jude": "x"}, "unknown setting 'jude'.*judge_base_url"),
        ({"index": "i", "targets": [], "format": 2}, "newer hubel"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RunConfig.from_settings(settings)


def test_a_file_that_is_not_toml_and_one_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("index = ")
    with pytest.raises(CorruptError, match=r"cannot be read as TOML"):
        RunConfig.load(tmp_path)
    for load in (RunConfig.load, CircuitConfig.load, is_circuit):
        with pytest.raises(UsageError, match=r"no run at .*nowhere"):
            load(tmp_path / "nowhere")


def test_circuit_runs_made_before_the_setting_ranked_by_size_alone(tmp_path: Path) -> None:
    CircuitConfig("ioi").save(tmp_path)
    assert CircuitConfig.load(tmp_path).opposing == 0.0
    file = tmp_path / "config.toml"
    file.write_text(file.read_text().replace("opposing = 0.0\n", ""))
    assert CircuitConfig.load(tmp_path).opposing == 1.0
    FULL.save(tmp_path)
    with pytest.raises(UsageError, match="not a circuit run"):
        CircuitConfig.load(tmp_path)


def test_a_language_model_has_a_provider() -> None:
    assert is_language_model("openai:m")
    assert not is_language_model("openai")
    assert not ModelConfig("compositional").is_language_model
    config = ModelConfig("anthropic:claude:2")
    assert (config.provider, config.model) == ("anthropic", "claude:2")
    for name in ("openai:", "other:m", ""):
        with pytest.raises(UsageError, match="expected openai:MODEL, anthropic:MODEL"):
            _ = ModelConfig(name).provider


def test_given_limits_stand_before_the_configured_ones() -> None:
    configured = BudgetConfig({"usd": 1.0, "calls": 2.0}, {"calls": 3.0})
    assert BudgetConfig({"usd": 5.0}).or_else(configured) == BudgetConfig(
        {"usd": 5.0, "calls": 2.0}, {"calls": 3.0}
    )


def test_a_run_is_found_by_name_or_path(tmp_path: Path) -> None:
    FULL.save(tmp_path / "one")
    assert find_run("one", tmp_path) == find_run(str(tmp_path / "one"), tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="there: one"):
        find_run("two", tmp_path)
