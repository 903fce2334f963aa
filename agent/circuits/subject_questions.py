"""What an investigation asks of the subject apart from measurements: small values, which a worker can answer.

So the process that holds a run on an engine never loads the subject, which may need a device.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypedDict

from ...tools.circuits.tasks import Task
from ...tools.circuits.tasks.prepared import lexicon, prepare
from ...tools.circuits.tasks.task import Draw, Example
from ...tools.errors import UsageError
from .prompts import prompts_to_json

if TYPE_CHECKING:
    from ...tools.circuits.circuit_model import CircuitModel


class SubjectQuestion(Protocol):
    """A question: a small frozen dataclass of plain values."""

    def answer(self, model: CircuitModel) -> Any:
        """The answer, of plain values."""
        ...


class SubjectFacts(TypedDict):
    """What the log says about the subject, so that it can be read without it.

    Attributes:
        graph: the arguments of `Graph`.
    """

    name: str
    title: str
    revision: str
    graph: dict[str, Any]


@dataclass(frozen=True)
class ReadFacts:
    """Name, revision and shape of the subject."""

    def answer(self, model: CircuitModel) -> SubjectFacts:
        """As `SubjectQuestion.answer`."""
        subject, graph = model.subject, model.graph
        graph_arguments = ("n_layers", "n_heads", "n_kv_heads", "parallel")
        return {
            "name": subject.name,
            "title": subject.title,
            "revision": subject.revision,
            "graph": {name: getattr(graph, name) for name in graph_arguments},
        }


@dataclass(frozen=True)
class ReadLexicon:
    """The subject's words of one token."""

    def answer(self, model: CircuitModel) -> list[str]:
        """As `SubjectQuestion.answer`."""
        return lexicon(model.subject)


@dataclass(frozen=True)
class PreparePrompts:
    """The first n of the drawn examples that suit the subject, as the log keeps them.

    Attributes:
        task, own, left_out: as `Task` has them. Its examples are drawn before, so that no text of
            another part travels.
    """

    task: str
    own: bool
    left_out: tuple[tuple[str, int], ...]
    drawn: tuple[Example, ...]
    n: int

    @classmethod
    def of(cls, task: Task, drawn: Iterable[Example], n: int) -> PreparePrompts:
        """Those of a task."""
        return cls(task.name, task.own, tuple(task.left_out.items()), tuple(drawn), n)

    def answer(self, model: CircuitModel) -> dict[str, Any]:
        """As `SubjectQuestion.answer`."""
        task = Task(self.task, "", _draw_no_more, self.own, dict(self.left_out))
        return prompts_to_json(model.subject, prepare(model.subject, task, self.drawn, self.n))


def _draw_no_more(_draw: Draw) -> NoReturn:
    raise UsageError("the examples are drawn already; this is a defect of the loop")
