"""The moves of a file, in order: for tests, and for debugging a run by hand.

The file is JSON, target to list of moves: `{"mlp.3.17": [{"hypotheses": [...], "experiments":
[...], "ready": true}]}`. Keys that a move omits have their defaults; "*" means every target that is
not named. When the moves of a target are used up, it makes empty moves.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...tools.errors import UsageError
from ...tools.files.settings_file import parse_settings, read_settings_text
from .protocol import Experiment, Hypothesis, InvestigationView, Move

if TYPE_CHECKING:
    from ..runlog.config import RunConfig


class ScriptedExplainer:
    """Makes the moves of its script, whatever it is shown."""

    name = "scripted"
    version = "1"
    revises = True
    converses = False
    moves_a_round = 4

    def __init__(self, script: dict[str, list[dict[str, Any]]]) -> None:
        self._script = script

    def move(self, view: InvestigationView) -> Move:
        """The next move of the script."""
        moves = self._script.get(str(view.unit), self._script.get("*", []))
        if view.moves < len(moves):
            return _move(moves[view.moves])
        if view.hypotheses:
            return Move()
        return Move(cannot_explain="the script has no move for this target")


def _move(data: dict[str, Any]) -> Move:
    for hypothesis in data.get("hypotheses", ()):
        _check_names(hypothesis, Hypothesis)
    for experiment in data.get("experiments", ()):
        _check_names(experiment, Experiment)
    return Move.from_json(data)


def _check_names(data: dict[str, Any], kind: type[Hypothesis] | type[Experiment]) -> None:
    names = kind.__dataclass_fields__
    if unknown := sorted(set(data) - set(names)):
        raise UsageError(
            f"{kind.__name__.lower()} {data.get('id')!r} of the script has {unknown[0]!r}; "
            f"known: {', '.join(names)}"
        )


def make(config: RunConfig) -> ScriptedExplainer:
    """Read the script that the configuration names (`script`, `--script`); raises UsageError."""
    if not config.script:
        raise UsageError("the explainer 'scripted' needs a file of moves: --script FILE")
    missing = f"no script at {config.script!r}; give a JSON file of moves"
    text = read_settings_text(Path(config.script), missing)
    script = parse_settings(text, config.script, is_json=True)
    if not _is_script(script):
        raise UsageError(f"{config.script}: expected target -> list of moves, each an object")
    return ScriptedExplainer(script)


def _is_script(script: object) -> bool:
    if not isinstance(script, dict) or not all(isinstance(m, list) for m in script.values()):
        return False
    return all(isinstance(move, dict) for moves in script.values() for move in moves)
