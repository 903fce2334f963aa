"""A question of causal abstraction as a file: a program, how its inputs become a text, and which next
token means which output.

    text = "The {noun} near the {other}"
    variable = "plural"                                  # the variable to interchange

    [inputs]                                             # values that training pairs are drawn from
    noun = ["key", "keys", "dog", "dogs"]
    other = ["tree", "trees"]

    [heldout]                                            # other values, for held-out pairs; without it, the same
    noun = ["boy", "boys"]

    [[variables]]                                        # in their order; the last is the output
    name = "plural"
    op = "in"
    of = ["noun"]
    members = ["keys", "dogs", "boys"]

    [answers]                                            # next token of each output
    True = " are"
    False = " is"

JSON with the same keys is read too. `tools/abstraction/program.py` lists the operations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any, ClassVar

from ..circuits.tasks.task import Span, fill_template
from ..errors import UsageError
from ..files.settings_file import read_settings_file
from ..files.strict_table import STRICT, read_strictly
from .interchange import Behaviour
from .program import CausalModel, Setting

if TYPE_CHECKING:
    from ..subject.subject import Subject

END = "end"
"""Name of the last token as a place."""
NEEDED = ("text", "inputs", "variables", "answers")


@dataclass(frozen=True)
class AbstractionQuestion:
    """A program and its texts.

    Attributes:
        program, heldout: the same variables over training and over held-out inputs.
        text: has a `{slot}` for each input or variable in it.
        answers: next tokens by the program's output, as text.
    """

    name: str
    program: CausalModel
    heldout: CausalModel
    text: str
    answers: Mapping[str, str]
    variable: str

    def with_variable(self, variable: str) -> AbstractionQuestion:
        """The same question about another variable; raises UsageError that lists them."""
        self.program.variable(variable)
        return replace(self, variable=variable)

    def behaviour(self, subject: Subject, program: CausalModel) -> Behaviour:
        """One of the two programs as a subject sees it; raises UsageError for an answer of several tokens.

        Both have the same answers, so that a search with one can be judged with the other.
        """
        outputs = {
            str(v): v for each in (self.program, self.heldout) for v in each.values(each.output)
        }
        if missing := sorted(set(outputs) - set(self.answers)):
            raise UsageError(
                f"{self.name}: output {missing[0]} has no answer; answers are given for {self._known()}"
            )
        tokens = {
            outputs[name]: _one_token(subject, text)
            for name, text in self.answers.items()
            if name in outputs
        }
        return Behaviour(
            program, lambda setting: subject.tokenize(self.filled(setting)[0]).ids, tokens
        )

    def filled(self, setting: Setting) -> tuple[str, dict[str, Span]]:
        """The text of an input, and the spans of its slots."""
        return fill_template(
            self.text, {name: str(value) for name, value in self.program.run(setting).items()}
        )

    def position(self, subject: Subject, at: str) -> int:
        """The token at which a slot's text ends, or the last one (`end`); the same for all values
        of all inputs.

        Raises:
            UsageError: no such slot; values of different numbers of tokens.
        """
        slots = [slot for _, slot, *_ in Formatter().parse(self.text) if slot]
        if at != END and at not in slots:
            raise UsageError(
                f"--at {at!r} given; choose {END} or a slot of the text: {', '.join(slots)}"
            )
        first: tuple[int, int, str] | None = None
        for setting in self._settings():
            text, spans = self.filled(setting)
            ids, offsets = subject.tokenize(text)
            end = len(text) if at == END else spans[at][1]
            token = max(number for number, (start, _) in enumerate(offsets) if start < end)
            first = first or (len(ids), token, text)
            if (len(ids), token) != first[:2]:
                raise UsageError(
                    f"{text!r} has {len(ids)} tokens, {at} at {token}, and {first[2]!r} has {first[0]}, {at} at "
                    f"{first[1]}: give values of one length in tokens"
                )
        assert first is not None  # a program has inputs
        return first[1]

    def _settings(self) -> Iterator[Setting]:
        """Every value of every input once: if these texts have equal lengths, all texts have."""
        start = {name: values[0] for name, values in self.program.inputs.items()}
        for program in (self.program, self.heldout):
            for name, values in program.inputs.items():
                yield from ({**start, name: value} for value in values)

    def _known(self) -> str:
        return ", ".join(self.answers)


def read_question(path: Path) -> AbstractionQuestion:
    """Read a TOML or JSON file; raises UsageError that says what is wrong."""
    file = _read(path)
    heldout = file.heldout
    settings = {
        "inputs": file.inputs,
        "variables": file.variables,
        "output": file.output or file.variables[-1].get("name"),
    }
    program = CausalModel.from_json(settings)
    if unknown := sorted(set(heldout) - set(program.inputs)):
        raise UsageError(
            f"{path}: heldout {unknown[0]!r} is not an input; inputs are {', '.join(program.inputs)}"
        )
    slots = [*program.inputs, *(variable.name for variable in program.variables)]
    try:
        fill_template(file.text, dict.fromkeys(slots, ""))
    except KeyError as error:
        raise UsageError(
            f"{path}: text has a slot {error}; inputs and variables are {', '.join(slots)}"
        ) from error
    variable = file.variable or program.variables[0].name
    program.variable(variable)
    other = CausalModel.from_json({**settings, "inputs": {**file.inputs, **heldout}})
    return AbstractionQuestion(path.stem, program, other, file.text, file.answers, variable)


@dataclass(frozen=True)
class _QuestionFile:
    """The keys of a file, with their types; variables are read by `CausalModel`."""

    text: str
    inputs: dict[str, list[Any]]
    variables: list[dict[str, Any]]
    answers: dict[str, str]
    variable: str = ""
    output: str = ""
    heldout: dict[str, list[Any]] = field(default_factory=dict)
    __pydantic_config__: ClassVar = STRICT


def _read(path: Path) -> _QuestionFile:
    missing = f"no question at {str(path)!r}; give a TOML or JSON file with {', '.join(NEEDED)}"
    content = read_settings_file(path, missing)
    if not isinstance(content, dict):
        raise UsageError(f"{path}: a list or a value; expected a table with {', '.join(NEEDED)}")
    absent = [key for key in NEEDED if content.get(key) in (None, "", [], {})]
    if absent:
        raise UsageError(f"{path}: {', '.join(absent)} missing; a question has {', '.join(NEEDED)}")
    return read_strictly(_QuestionFile, content, str(path))


def _one_token(subject: Subject, text: str) -> int:
    ids = subject.tokenize(text).ids
    if len(ids) != 1:
        raise UsageError(
            f"the answer {text!r} is {len(ids)} tokens to {subject.name}; give answers of one token"
        )
    return ids[0]
