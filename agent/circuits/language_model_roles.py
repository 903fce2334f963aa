"""A language model names roles of components that it sees under aliases.

1. The evidence becomes one message: what each component attends to, copies, writes and does on
   discovery prompts. It names neither the subject nor a layer, and quotes text of prompts as data.
2. Each reply is parsed role by role. Usable roles are kept; the others go back with what was
   expected.
3. It ends with a reply without faults, or when the tries are used up. Without a single usable role
   the model has failed, which is not an answer: a later attempt continues where this one ended.

A prediction has to be able to fail: its bounds include the discovery value, exclude 0 and are at
most twice that value apart. It is tested on held-out prompts by arithmetic; the model's words play
no part in the verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ... import prompts
from ..explainers.language_model.parse_reply import why_unusable
from ..explainers.language_model.prompt_text import fence
from ..llm.conversation import (
    AssistantMessage,
    Request,
    ToolResult,
    ToolResults,
    ToolSchema,
    UserMessage,
)
from .roles import Component, NoRoles, Prediction, Role, RoleEvidence

if TYPE_CHECKING:
    from ..llm.conversation import Message, Reply, ToolCall

Ask = Callable[[Request], "Reply"]
TRIES = 4
"""Replies that one attempt may take: one, and three repairs."""
MAX_TOKENS = 8192
"""Of one reply, thinking included: sixteen roles with four predictions each take about 3,000."""
MOST_WORDS, MOST_ROLE_WORDS = 40, 6
WIDEST = 2.0
"""Times its size that a prediction's bounds may be apart."""
DIGITS = 2
"""Decimals of the numbers that the model sees, and that its bounds are checked against."""
SHOWN_LINKS = 8
"""Attentions shown of each head, the largest."""
TOOL = "name_roles"
MEASURED = ("effect", "queries", "direct", "copies")
"""Quantities other than attention."""
QUANTITY_TEXTS = {
    "queries": "through the queries of heads that write the answer, patching it changes the logit difference by",
    "effect": "patching it with the corrupted run changes the logit difference by",
    "direct": "by itself it adds to the logit difference",
    "copies": "raises the attended token by standard deviations",
}


class _StrictForm(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _PredictionForm(_StrictForm):
    quantity: str
    low: float | None = None
    high: float | None = None


class _RoleForm(_StrictForm):
    component: str
    role: Annotated[str, Field(min_length=1, max_length=80)]
    description: Annotated[str, Field(min_length=1, max_length=400)]
    predictions: Annotated[list[_PredictionForm], Field(min_length=1, max_length=6)]


class _RolesForm(_StrictForm):
    roles: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=64)]


def _schema() -> ToolSchema:
    """The tool's schema; `_RolesForm` is looser, so that one faulty role does not cost the others."""
    parameters = {
        "type": "object",
        "properties": {
            "roles": {"type": "array", "items": _inlined(_RoleForm.model_json_schema())}
        },
        "required": ["roles"],
    }
    says = (
        "Name roles, one an entry: component (C1, ...), role (at most 6 words), description (at most 40 words: what it "
        "does, and for whom), predictions (quantity as listed of that component, low and high; one of them may be "
        "left out, except of effect). Call it again for the roles that were sent back."
    )
    return ToolSchema(TOOL, says, parameters)


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema without references, which some servers do not follow."""
    definitions = schema.pop("$defs", {})

    def resolve(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                return resolve(definitions[value["$ref"].rpartition("/")[2]])
            return {key: resolve(each) for key, each in value.items() if key != "title"}
        return [resolve(each) for each in value] if isinstance(value, list) else value

    return resolve(schema)


class LanguageModelRoles:
    """A chat model with tools as a role finder.

    Args:
        ask: gives the reply to a request, from the journal or paid for.
        failures: earlier attempts that gave no role; their replies are replayed from the journal.
    """

    def __init__(self, ask: Ask, failures: int = 0) -> None:
        self._ask, self._tries = ask, TRIES * (1 + failures)

    def __call__(self, evidence: RoleEvidence) -> list[Role]:
        """The roles that could be read, in the order of the components.

        Raises:
            NoRoles: there is not one, after all tries.
        """
        prompt = prompts.load("roles")
        filled = prompt.fill(**render_evidence(evidence))
        messages: list[Message] = [UserMessage(filled.user)]
        roles, fault = dict[str, Role](), ""
        for _ in range(self._tries):
            label = f"{prompt.label}#{prompt.sha256}"
            request = Request(
                filled.system, tuple(messages), (_schema(),), MAX_TOKENS, label, tool_choice="any"
            )
            reply = self._ask(request)
            if fault := why_unusable(reply):
                messages.append(
                    UserMessage(f"Your last reply could not be used and is left out here: {fault}.")
                )
                continue
            answers = [_read_call(call, evidence, roles) for call in reply.calls]
            fault = "; ".join(line for lines in answers for line in lines)
            if not fault:
                break
            results = tuple(
                ToolResult(call.id, _feedback(lines, roles), error=bool(lines))
                for call, lines in zip(reply.calls, answers, strict=True)
            )
            messages += [AssistantMessage(reply), ToolResults(results)]
        if not roles:
            raise NoRoles(
                f"the language model named no role that can be tested in {self._tries} replies: {fault}"
            )
        return [
            roles[component.name] for component in evidence.components if component.name in roles
        ]


# The message


def render_evidence(evidence: RoleEvidence) -> dict[str, str]:
    """The evidence in words, by the names that the prompt expects."""
    examples = [
        f"clean: {clean!r}\ntwin:  {twin!r}\nanswer: {answer!r}, foil: {foil!r}"
        for clean, twin, answer, foil in evidence.examples
    ]
    return {
        "task": fence(evidence.task),
        "metric": f"{evidence.metric:+.2f}",
        "examples": fence("\n".join(examples)) if examples else "none",
        "components": fence("\n".join(map(_line, evidence.components))),
    }


def _line(component: Component) -> str:
    """A component in one line of the evidence."""
    where = ("early", "middle", "late")[min(2, int(3 * component.depth))]
    links = sorted(
        (name for name in component.quantities if _is_attention(name)), key=_weight(component)
    )
    names = [*MEASURED, *links[:SHOWN_LINKS]]
    seen = ((name, component.quantities[name]) for name in names if name in component.quantities)
    numbers = ", ".join(
        f"{name} {value.value:+.2f} ({value.low:+.2f} to {value.high:+.2f})" for name, value in seen
    )
    writes = f"; writes {', '.join(map(repr, component.writes))}" if component.writes else ""
    return f"{component.name}: {component.kind}, {where}: {numbers}{writes}"


def _is_attention(name: str) -> bool:
    return name not in MEASURED


def _weight(component: Component) -> Callable[[str], float]:
    return lambda name: -component.quantities[name].value


# The reply


def _read_call(call: ToolCall, evidence: RoleEvidence, roles: dict[str, Role]) -> list[str]:
    """Add the usable roles of a call to `roles`; returns what is wrong with the others."""
    if call.name != TOOL:
        return [f"there is no tool {call.name!r}; call {TOOL}"]
    if call.arguments is None:
        return [f"the arguments are no JSON object; {TOOL} takes {{'roles': [...]}}"]
    try:
        answer = _RolesForm.model_validate(call.arguments)
    except ValidationError as error:
        return [_describe("roles", error)]
    components = {component.name: component for component in evidence.components}
    faults: list[str] = []
    for entry in answer.roles:
        try:
            role = _role(_RoleForm.model_validate(entry), components)
        except ValidationError as error:
            faults.append(_describe(str(entry.get("component")), error))
        except _UnusableRole as refused:
            faults.append(f"{str(entry.get('component'))[:20]}: {refused}")
        else:
            roles[role.component] = role
    return faults


class _UnusableRole(Exception):
    """Says what is wrong with one role, and what to do."""


def _role(form: _RoleForm, components: dict[str, Component]) -> Role:
    """The role in a form; raises _UnusableRole if it is too long or does not predict its effect."""
    if form.component not in components:
        raise _UnusableRole(f"there is no such component; there are {', '.join(components)}")
    component, role = components[form.component], " ".join(form.role.split()).lower()
    if len(role.split()) > MOST_ROLE_WORDS:
        raise _UnusableRole(
            f"the role has {len(role.split())} words; give at most {MOST_ROLE_WORDS}"
        )
    if (n := len(form.description.split())) > MOST_WORDS:
        raise _UnusableRole(f"the description has {n} words; give at most {MOST_WORDS}")
    quantities = [prediction.quantity for prediction in form.predictions]
    if "effect" not in quantities or len(set(quantities)) < len(quantities):
        raise _UnusableRole("predict effect, and each quantity once")
    predictions = tuple(_prediction(each, component) for each in form.predictions)
    return Role(form.component, role, " ".join(form.description.split()), predictions)


def _prediction(form: _PredictionForm, component: Component) -> Prediction:
    """Check that a prediction could fail; raises _UnusableRole if not."""
    name, low, high = form.quantity, form.low, form.high
    if name not in component.quantities:
        raise _UnusableRole(
            f"it has no quantity {name!r}; there are {', '.join(component.quantities)}"
        )
    value = round(component.quantities[name].value, DIGITS)
    if value == 0:
        raise _UnusableRole(f"{name} is {value:+.2f}, which is nothing; predict something else")
    bounds = [bound for bound in (low, high) if bound is not None]
    if not bounds or not all(map(isfinite, bounds)) or bounds != sorted(bounds):
        raise _UnusableRole(f"{name}: give low and high as numbers, low first")
    if (low is not None and value < low) or (high is not None and value > high):
        raise _UnusableRole(
            f"{name} is {value:+.2f} on the example prompts, which your bounds exclude"
        )
    if not ((low is not None and low > 0) or (high is not None and high < 0)):
        raise _UnusableRole(
            f"{name}: the bounds hold 0, so that doing nothing would fit; exclude it"
        )
    if (name == "effect" and len(bounds) < 2) or (
        len(bounds) == 2 and bounds[1] - bounds[0] > WIDEST * abs(value)
    ):
        raise _UnusableRole(f"{name}: give low and high, at most {WIDEST * abs(value):.2f} apart")
    return Prediction(name, low, high, _prediction_text(name, low, high))


def _prediction_text(name: str, low: float | None, high: float | None) -> str:
    says = QUANTITY_TEXTS.get(name) or (
        f"attends from {' to '.join(name.split('>'))} with" if ">" in name else f"{name} attention"
    )
    if low is None:
        return f"{says} at most {high:+.2f}"
    return f"{says} at least {low:+.2f}" if high is None else f"{says} {low:+.2f} to {high:+.2f}"


def _describe(where: str, error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{where[:20]}: {'.'.join(map(str, first['loc'])) or 'the answer'}: {first['msg']}"


def _feedback(faults: Sequence[str], roles: dict[str, Role]) -> str:
    kept = f"Kept: {', '.join(roles)}." if roles else "Nothing is kept yet."
    return "\n".join(
        [*faults, f"{kept} Call {TOOL} again for those that were sent back, or leave them out."]
    )
