"""The tools of an experimenter: a few of its own, and the instruments under names and schemas fit
for tool calling.

All of it is sent with every request, so it is kept short: the instruments share one tool, with a
line a piece: name, arguments, and what it tells. A wrong argument is answered with what was
expected. An instrument that is called by its own name is understood as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ....tools.errors import ArgumentError
from ....tools.subject.address import Unit
from ...llm.conversation import ToolSchema
from .aliases import Aliases

MAX_TEXT = 600
"""Characters of a text that an experiment may have: about 150 tokens, twice a context of the index."""
MAX_PROPOSED, MAX_PLANNED = 8, 12
"""Hypotheses and experiments of one call that are read."""
Line = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)


class Proposed(_Strict):
    sentence: Annotated[str, Field(min_length=1, max_length=600)]
    predicate: str | None = None
    revises: str | None = None


class Propose(_Strict):
    hypotheses: Annotated[list[Proposed], Field(min_length=1)]


class Challenged(_Strict):
    text: Line
    predicts: Literal["fires", "silent", "greater", "within", "raises", "lowers"]
    side: Literal["+", "-"] = "+"
    focus: str | None = None
    than: Line | None = None
    than_focus: str | None = None
    low: float | None = None
    high: float | None = None
    quantity: Literal["max", "mean", "kl", "rank", "logprob", "logit_difference"] = "max"
    token: str | None = None
    versus: str | None = None
    strength: float | None = None
    why: str = ""


class Planned(Challenged):
    hypothesis: str


class Challenge(_Strict):
    experiments: Annotated[list[Challenged], Field(min_length=1)]


class RunExperiments(_Strict):
    experiments: Annotated[list[Planned], Field(min_length=1)]


class Conclude(_Strict):
    hypothesis: str
    findings: Annotated[str, Field(max_length=2000)] = ""


class CannotExplain(_Strict):
    reason: Annotated[str, Field(min_length=1, max_length=600)]


OWN: dict[str, tuple[type[_Strict], str]] = {
    "propose": (
        Propose,
        f"Write down up to {MAX_PROPOSED} rival hypotheses; each gets an id (h1, ...) and, with a predicate, its "
        "correlation on the corpus, what each concept is worth, and its misses. revises: id of what it replaces.",
    ),
    "experiment": (
        RunExperiments,
        f"Test hypotheses on up to {MAX_PLANNED} texts that you write, each with what its hypothesis predicts: fires "
        "(at least the level that a tenth of all tokens reach), silent (below the median), greater (more than in the "
        "text `than`), within (from low to high); on side - activations have their sign turned. focus, than_focus: the "
        "part of the text that is read. quantity: max or mean activation; kl of ablating U, in nats (greater, within); "
        "rank of the token `text` among those that U promotes (within); what happens behind the text (raises, lowers, "
        "within): logprob of the next `token` when `strength` is added to U, in nats; logit_difference of `token` less "
        "`versus` when U has its values of the text `than`.",
    ),
    "challenge": (
        Challenge,
        "Test the claim on texts that you write, each with what the claim predicts: fires (at least the level that a "
        "tenth of all tokens reach), silent (below the median), greater (more than in the text `than`), within (from "
        "low to high). focus, than_focus: the part of the text that is read.",
    ),
    "conclude": (
        Conclude,
        "Name your favourite hypothesis. findings: at most 100 words of support; put the id of the result behind each "
        'number or quotation, as in: fires at +2.1 on "Monday" [e3].',
    ),
    "cannot_explain": (CannotExplain, "End the investigation without an explanation, and say why."),
}
"""Name to arguments and description of the tools that are no instruments."""

_LEFT_OUT = frozenset({"layers", "sites", "layer", "seed", "sae"})
"""Arguments that would say where in the model something is, or that nobody needs to choose."""
_TOLD = {
    "ablate": "what the next-token prediction loses without it",
    "activations.exemplars": "corpus contexts in which it fires",
    "activations.on_text": "its activation at each token of your texts",
    "activations.search": "units that stand out on a text",
    "activations.statistics": "range, quantiles, how often active",
    "attribute": "which tokens of a text make it fire",
    "coactivating": "units active at the same tokens",
    "corpus.search": "what it does wherever a word stands in the corpus",
    "compare": "two texts token by token, and which change matters",
    "generate": "how the model goes on with a text",
    "logit_lens": "next tokens that it makes more and less likely",
    "nearest": "units that write (or read) its direction",
    "patch": "what changes behind base when it has its values on source",
    "probe": "whether a linear probe reads your labels there",
    "steer": "what the model predicts and writes when it is pushed",
    "tokens.describe": "how words are cut, how common, what is like them",
    "upstream": "what feeds it at a token",
}
"""What an instrument tells, in fewer words than its docstring; one that is not here has its docstring's first line."""
_UNTOLD = frozenset(
    {"temperature", "groups", "pooling", "contexts", "most", "baseline", "method", "check"}
    | {"new_tokens", "answer", "foil", "position"}
)
"""Arguments that may be given and are not told of, as few calls need them; a wrong call is answered with all."""
_DEFAULTS: dict[str, Any] = {"unit": "U", "units": ["U"], "site": "U"}
"""What is meant when an argument that names a unit is left out."""
SHARED = "instrument"
"""The tool through which the instruments are called."""


@cache
def schemas(*own: str) -> tuple[ToolSchema, ...]:
    """The tools of those names, then one for all instruments that a blinded investigation can call."""
    mine = [
        ToolSchema(name, OWN[name][1], _short_schema(OWN[name][0].model_json_schema()))
        for name in own
    ]
    return (*mine, _shared_schema())


@cache
def instrument_tools() -> Mapping[str, str]:
    """Tool name to instrument name, of all instruments that need no argument that is left out."""
    from ....tools import instruments

    found = {}
    for name, instrument in instruments.instruments().items():
        required = {
            n for n, field in instrument.arguments.model_fields.items() if field.is_required()
        }
        if not required & _LEFT_OUT:
            found[name.replace(".", "_")] = name
    return found


def _blinded_schema(name: str) -> dict[str, Any]:
    """An instrument's arguments without those that are left out, and with no unit required."""
    from ....tools import instruments

    schema = _short_schema(instruments.get(name).schema())
    schema["properties"] = {k: v for k, v in schema["properties"].items() if k not in _LEFT_OUT}
    schema["required"] = [k for k in schema.get("required", ()) if k not in _DEFAULTS]
    return schema if schema["required"] else {k: v for k, v in schema.items() if k != "required"}


def _summary(name: str) -> str:
    """The docstring's first line; examples of addresses are taken out, or they would say what addresses look like."""
    from ....tools import instruments

    summary = re.sub(
        r"\s*\([^()]*\b(?:mlp|head|resid)\.[^()]*\)", "", instruments.get(name).summary
    )
    return Aliases(Unit("mlp", 0, 0)).hide(summary)


def _shared_schema() -> ToolSchema:
    lines = [
        f"{_signature(tool, name)}: {_TOLD.get(name) or _summary(name)}"
        for tool, name in instrument_tools().items()
    ]
    told = "Instruments by name. Each takes `unit` (U if left out) and, where it lists, `k`; ? may be left out."
    arguments = {"name": {"type": "string"}, "arguments": {"type": "object"}}
    schema = {"type": "object", "properties": arguments, "required": ["name", "arguments"]}
    return ToolSchema(SHARED, "\n".join([told, *lines]), schema)


def _signature(tool: str, name: str) -> str:
    """``steer(text, strengths[], op? add|set|scale)``; what all have in common is not repeated."""
    from ....tools import instruments

    schema, needs_unit = (
        _blinded_schema(name),
        "unit" in instruments.get(name).schema().get("required", ()),
    )
    shown = []
    for argument, described in schema["properties"].items():
        if argument == "k" or argument in _UNTOLD or (argument == "unit" and needs_unit):
            continue
        kind = "[]" if described.get("type") == "array" else ""
        choices = " " + "|".join(described["enum"]) if "enum" in described else ""
        shown.append(
            f"{argument}{kind}{'' if argument in schema.get('required', ()) else '?'}{choices}"
        )
    return f"{tool}({', '.join(shown)})"


def unwrap_call(tool: str, arguments: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The instrument's own tool name and arguments, of a call that may come through the shared
    tool.

    Raises:
        ArgumentError: the shared tool was asked for something that it does not have.
    """
    if tool != SHARED:
        return tool, arguments
    name = str(arguments.get("name", "")).strip().replace(".", "_")
    if name not in instrument_tools():
        raise ArgumentError(
            f"{SHARED}: name {name[:60]!r}; there are {', '.join(instrument_tools())}"
        )
    inner = arguments.get("arguments")
    if inner is None:  # written beside the name instead of into `arguments`
        return name, {k: v for k, v in arguments.items() if k not in ("name", "arguments")}
    if isinstance(inner, str):
        with suppress(ValueError, RecursionError):
            inner = json.loads(inner)
    if not isinstance(inner, dict):
        raise ArgumentError(
            f"{SHARED}: arguments is no object; {_signature(name, instrument_tools()[name])}"
        )
    return name, inner


def _short_schema(schema: Any) -> Any:
    """Without titles, descriptions, limits and null alternatives, with definitions put in place."""
    return _shorten(schema, schema.get("$defs", {}))


_DROPPED = frozenset(
    {"title", "description", "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum"}
)
_DROPPED_ALWAYS = _DROPPED | {"$defs", "default", "additionalProperties"}


def _shorten(schema: Any, definitions: Mapping[str, Any]) -> Any:
    if "$ref" in schema:
        return _shorten(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions)
    if "anyOf" in schema:
        real = [s for s in schema["anyOf"] if s.get("type") != "null"]
        if len(real) == 1:
            return _shorten(real[0], definitions)
    short = {k: v for k, v in schema.items() if k not in _DROPPED_ALWAYS}
    if "properties" in short:
        short["properties"] = {k: _shorten(v, definitions) for k, v in short["properties"].items()}
    if isinstance(short.get("items"), dict):
        short["items"] = _shorten(short["items"], definitions)
    if "anyOf" in short:
        short["anyOf"] = [_shorten(s, definitions) for s in short["anyOf"]]
    return short


def validate_arguments(tool: str, arguments: Mapping[str, Any]) -> Any:
    """The checked arguments of one of its own tools; ArgumentError says how to repair them."""
    model = OWN[tool][0]
    try:
        return model.model_validate(_unpacked(model, arguments))
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            for fault in error.errors(include_url=False)[:5]
        )
        raise ArgumentError(f"{tool}: {faults}") from None


def _unpacked(model: type[BaseModel], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Some models write a list as a string of JSON, or leave the list out round its only member."""
    fields = dict(arguments)
    for name in model.model_fields:
        if isinstance(value := fields.get(name), str) and value[:1] in ("[", "{"):
            try:
                fields[name] = json.loads(value)
            except (ValueError, RecursionError):
                continue
        if name in ("hypotheses", "experiments") and isinstance(fields.get(name), dict):
            fields[name] = [fields[name]]
    return fields


def replace_aliases(tool: str, arguments: Mapping[str, Any], aliases: Aliases) -> dict[str, Any]:
    """Arguments of an instrument with addresses for aliases; the unit is U where it is left out."""
    hidden = sorted(set(arguments) & _LEFT_OUT)
    if hidden:
        raise ArgumentError(f"{tool}: {hidden[0]} cannot be chosen here; leave it out")
    found = dict(arguments)
    for name, required in _addresses(tool).items():
        if name in found:
            found[name] = aliases.reveal(_listed(found[name]) if name == "units" else found[name])
        elif required and name in _DEFAULTS:
            found[name] = aliases.reveal(_DEFAULTS[name])
    return found


@cache
def _addresses(tool: str) -> Mapping[str, bool]:
    """The arguments of an instrument that name units, and whether they are required."""
    from ....tools import instruments

    schema = instruments.get(instrument_tools()[tool]).schema()
    named = (
        name
        for name, told in schema["properties"].items()
        if "address of a unit" in json.dumps(told)
    )
    return {name: name in schema.get("required", ()) for name in named}


def _listed(value: Any) -> Any:
    """One name where a list of them is asked for, as a list."""
    return [value] if isinstance(value, str) and not value.startswith("[") else value
