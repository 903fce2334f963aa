"""High-level causal models: a few variables, each a function of others, that can be run and
intervened on.

    Program({"a": range(4), "b": range(4), "c": range(4)}, "total",
            [Variable("sum", ("a", "b"), lambda a, b: (a + b) % 4), Variable("total", ("sum", "c"), ...)])

or the same as JSON, with the functions of `OPERATIONS`:

    {"inputs": {"a": [0, 1, 2, 3], ...}, "output": "total",
     "variables": [{"name": "sum", "op": "add", "of": ["a", "b"], "modulo": 4}, ...]}
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ..errors import UsageError

Value = Hashable
Setting = Mapping[str, Any]
"""A value for each of some variables."""

MOST_SETTINGS = 100_000
"""Settings of the inputs that are gone through one by one, in seconds."""


@dataclass(frozen=True)
class CausalVariable:
    """One variable, as a function of its parents' values in their order."""

    name: str
    parents: tuple[str, ...]
    function: Callable[..., Value]


class CausalModel:
    """A causal model; variables stand in an order in which parents come first.

    Args:
        inputs: the values that each input can take.

    Raises:
        UsageError: a variable without its parents, defined twice, or an output that is none of them.
    """

    def __init__(
        self,
        inputs: Mapping[str, Sequence[Value]],
        output: str,
        variables: Sequence[CausalVariable],
    ) -> None:
        self.inputs = {name: tuple(values) for name, values in inputs.items()}
        self.output, self.variables = output, tuple(variables)
        known = set(self.inputs)
        for name, values in self.inputs.items():
            if len(values) < 2:
                raise UsageError(f"input {name!r} can be {values}; give at least two values")
        for variable in self.variables:
            if missing := [parent for parent in variable.parents if parent not in known]:
                raise UsageError(
                    f"variable {variable.name!r} needs {', '.join(missing)}, which come before it nowhere"
                )
            if variable.name in known:
                raise UsageError(f"variable {variable.name!r} is defined twice")
            known.add(variable.name)
        if output not in {variable.name for variable in self.variables}:
            raise UsageError(
                f"output {output!r} is no variable of the program, which has {', '.join(sorted(known))}"
            )

    def run(self, inputs: Setting, fixed: Setting | None = None) -> dict[str, Value]:
        """Every variable's value; those in `fixed` are set and not computed."""
        fixed = fixed or {}
        values: dict[str, Value] = {**inputs, **fixed}
        for variable in self.variables:
            if variable.name not in fixed:
                values[variable.name] = variable.function(
                    *(values[parent] for parent in variable.parents)
                )
        return values

    def interchange_output(self, base: Setting, source: Setting, name: str) -> Value:
        """The output on `base` when one variable has the value that it has on `source`."""
        self.variable(name)
        return self.run(base, {name: self.run(source)[name]})[self.output]

    def variable(self, name: str) -> CausalVariable:
        """A variable by name; raises UsageError that lists them."""
        found = next((variable for variable in self.variables if variable.name == name), None)
        if found is None:
            names = ", ".join(variable.name for variable in self.variables)
            raise UsageError(f"no variable {name!r}; the program has {names}")
        return found

    def values(self, name: str) -> tuple[Value, ...]:
        """All values that a variable takes, in the order in which they come up."""
        return tuple(dict.fromkeys(self.run(inputs)[name] for inputs in self._settings()))

    def with_arbitrary(self, name: str, seed: int = 0) -> CausalModel:
        """The same program with one variable's values dealt anew, once, among the settings of its
        parents.

        It is as often each value and depends on the same inputs, and there is no reason why a
        subject should hold it: what a search finds for it is the search's doing (a control task,
        Hewitt & Liang 2019).
        """
        own = self.variable(name)
        runs = [self.run(inputs) for inputs in self._settings()]
        values = {tuple(run[parent] for parent in own.parents): run[name] for run in runs}
        settings = list(values)
        dealt = dict(
            zip(
                settings,
                random.Random(seed).sample(list(values.values()), len(settings)),
                strict=True,
            )
        )
        changed = replace(own, function=lambda *parents: dealt[parents])
        return CausalModel(
            self.inputs,
            self.output,
            [changed if each.name == name else each for each in self.variables],
        )

    def _settings(self) -> Iterator[Setting]:
        """All settings of the inputs; raises UsageError where they are too many to go through."""
        if (n := math.prod(map(len, self.inputs.values()))) > MOST_SETTINGS:
            raise UsageError(
                f"the inputs can be set in {n} ways, and at most {MOST_SETTINGS} are gone through; give fewer values"
            )
        return (
            dict(zip(self.inputs, values, strict=True))
            for values in itertools.product(*self.inputs.values())
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CausalModel:
        """Read a program from plain data; raises UsageError with what is off."""
        try:
            variables = [_variable(entry) for entry in data["variables"]]
            return cls(data["inputs"], data["output"], variables)
        except (KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                f"no program: {error!r}; expected inputs (name to values), variables (name, op, of) and output"
            ) from error


def _add(*values: Any, modulo: int | None = None) -> Value:
    return sum(values) % modulo if modulo else sum(values)


def _table(*values: Any, table: Mapping[str, Value]) -> Value:
    return table[",".join(map(str, values))]


def _pick(at: Any, *values: Any) -> Value:
    return values[int(at)]


OPERATIONS: dict[str, Callable[..., Value]] = {
    "add": _add,
    "all": lambda *values: all(values),
    "any": lambda *values: any(values),
    "equal": lambda one, two: one == two,
    "greater": lambda one, two: one > two,
    "in": lambda value, members: value in members,
    "max": max,
    "min": min,
    "not": lambda value: not value,
    "pick": _pick,
    "same": lambda value: value,
    "table": _table,
    "xor": lambda one, two: bool(one) != bool(two),
}
"""Name to function; `add` takes `modulo`, `in` takes `members`, `table` a `table` from the parents'
values, joined by commas; `pick` gives, of all parents but the first, the one that the first counts
to from 0 (false is 0, true 1)."""

_OPTIONS = ("modulo", "members", "table")


def _variable(entry: Mapping[str, Any]) -> CausalVariable:
    if entry["op"] not in OPERATIONS:
        raise UsageError(
            f"op {entry['op']!r} of variable {entry['name']!r} given; there are {', '.join(OPERATIONS)}"
        )
    options = {key: value for key, value in entry.items() if key in _OPTIONS}
    return CausalVariable(
        entry["name"], tuple(entry["of"]), partial(OPERATIONS[entry["op"]], **options)
    )
