"""Configurations from flat settings, as `config.toml` has them."""

from __future__ import annotations

from typing import Any

from hubel.agent.circuits.config import CircuitConfig
from hubel.agent.runlog.config import RunConfig


def run_config(**settings: Any) -> RunConfig:
    return RunConfig.from_settings(settings)


def changed(config: RunConfig, **settings: Any) -> RunConfig:
    """The same configuration with other settings."""
    return RunConfig.from_settings(config.to_settings() | settings)


def circuit_config(**settings: Any) -> CircuitConfig:
    return CircuitConfig.from_settings(settings)
