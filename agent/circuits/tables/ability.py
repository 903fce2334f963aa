"""What a subject can do: one row per task, on discovery prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ....evals.statistics.ability import measure_ability
from ....tools.circuits.tasks.logit_differences import measure_logit_differences
from ....tools.circuits.tasks.prepared import prepare
from ....tools.circuits.tasks.task import draw_examples

if TYPE_CHECKING:
    from ....tools.circuits.tasks import Task
    from ....tools.subject import Subject


def ability_row(
    subject: Subject, task: Task, n: int, seed: int, lexicon: Sequence[str]
) -> dict[str, Any]:
    """Accuracy, logit differences and whether a circuit is worth looking for, as JSON."""
    prompts = prepare(subject, task, draw_examples(task, "discovery", seed, lexicon), n)
    ability = measure_ability(*measure_logit_differences(subject, prompts.batches))._asdict()
    intervals = {name: ability[name]._asdict() for name in ("accuracy", "clean", "corrupted")}
    return {
        "task": task.name,
        "summary": task.summary,
        "subject": subject.name,
        **ability,
        **intervals,
        "left_out": prompts.left_out,
        "words": list(prompts.words),
    }
