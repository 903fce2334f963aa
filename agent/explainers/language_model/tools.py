"""The tools of a language model: a few of its own, and the instruments through one shared tool.

All schemas are sent with every request, so they are short: each instrument has one line in the
shared tool's description, with its name, its arguments and what it tells. A wrong argument is
answered with what was expected. An instrument called by its own name is understood as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.json_schema import SkipJsonSchema

from ....tools import instruments
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
    gist: Annotated[str, Field(max_length=600)] = ""
    predicate: str | None = None
    revises: str | None = None
    add: str | None = None
    sentence: Annotated[SkipJsonSchema[str], Field(max_length=600)] = ""
    """The explanation in words that are not generated from the formula; not offered any more."""


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
        f"Write down up to {MAX_PROPOSED} rival hypotheses; each gets an id (h1, ...) and, with a "
        "predicate, its correlation on the corpus, what each concept is worth, and its misses. "
        "gist: the meaning in at most 25 words. revises: id of what it replaces; it inherits the "
        "experiments that still follow. add: with revises, concepts to add to that formula, instead "
        "of predicate.",
    ),
    "experiment": (
        RunExperiments,
        f"Test hypotheses on up to {MAX_PLANNED} texts that you write, each with what its hypothesis "
        "predicts: fires (reaches the firing level), silent (below the median), greater (more than in "
        "the text `than`), within (from low to high); on side - activations have their sign turned. "
        "focus, than_focus: the part of the text that is read. "
        "quantity: max or mean activation; kl of ablating U, in nats (greater, within); rank of the "
        "token `text` among those that U promotes (within); what happens after the text (raises, "
        "lowers, within): logprob of the next `token` when `strength` is added to U, in nats; "
        "logit_difference of `token` less `versus` when U has its values of the text `than`.",
    ),
    "challenge": (
        Challenge,
        "Test the claim on texts that you write, each with what the claim predicts: fires (reaches the "
        "firing level), silent (below the median), greater (more than in the text `than`), within (from "
        "low to high). focus, than_focus: the part of the text that "
        "is read.",
    ),
    "conclude": (
        Conclude,
        "Name your favourite hypothesis. findings: at most 100 words of support; put the id of the "
        'result behind each number or quotation, as in: fires at +2.1 on "Monday" [e3].',
    ),
    "cannot_explain": (CannotExplain, "End the investigation without an explanation, and say why."),
}
"""Its own tools: name to arguments and description."""
SHARED = "instrument"
"""The tool through which the instruments are called."""

_BLINDED = frozenset({"layers", "sites", "layer", "seed", "sae"})
"""Arguments that would say where in the model something is, or that nobody needs to choose."""
_SUMMARIES = {
    "ablate": "what predictions lose without it",
    "activations.by_concept": "mean by word, lemma, pos, relation, wordclass, or inside a concept",
    "activations.exemplars": "contexts in which it fires",
    "activations.on_text": "its activation at each token",
    "activations.search": "units that are unusual on a text",
    "activations.statistics": "range, quantiles, how often active",
    "attribute": "which tokens of a text make it fire",
    "coactivating": "units active at the same tokens",
    "concepts": "what formulas are made of; all names of a family",
    "corpus.search": "what it does where a pattern occurs",
    "compare": "two texts token by token, which change matters",
    "generate": "how a text goes on",
    "logit_lens": "next tokens that it raises and lowers",
    "nearest": "units that write or read its direction",
    "patch": "what changes after base with its values on source",
    "probe": "whether a linear probe reads your labels there",
    "steer": "what the model writes when it is pushed",
    "tokens.describe": "how words are cut, how common, what is alike",
    "units.matching": "units that follow these",
    "upstream": "what feeds it at a token",
}
"""What an instrument tells, shorter than its docstring. Others have their docstring's first line."""
_UNLISTED = frozenset(
    {"temperature", "groups", "pooling", "contexts", "most", "baseline", "method", "check"}
    | {"least", "new_tokens", "answer", "foil", "position", "match_case", "last_only"}
)
"""Arguments that are accepted but not listed, because few calls need them."""
_DEFAULTS: dict[str, Any] = {"unit": "U", "units": ["U"], "site": "U"}
"""Values of an omitted argument that names a unit."""
_BRIEF: dict[str, int] = {
    "activations_by_concept": 6,
    "activations_exemplars": 4,
    "activations_search": 5,
    "coactivating": 5,
    "corpus_search": 3,
    "logit_lens": 8,
    "nearest": 5,
    "tokens_describe": 4,
    "units_matching": 5,
    "upstream": 6,
}
"""An omitted `k`, smaller than for other readers: every answer is paid for by the token."""


@cache
def schemas(*own: str) -> tuple[ToolSchema, ...]:
    """Its own tools of those names, then the shared tool for the instruments."""
    own_schemas = (
        ToolSchema(name, OWN[name][1], _shorten(OWN[name][0].model_json_schema())) for name in own
    )
    return (*own_schemas, _shared_schema())


@cache
def instrument_tools() -> Mapping[str, str]:
    """Tool name to instrument name, of all instruments that a blinded investigation can call."""
    tools = {}
    for name, instrument in instruments.instruments().items():
        fields = instrument.arguments.model_fields
        required = {argument for argument, field in fields.items() if field.is_required()}
        if not required & _BLINDED:
            tools[name.replace(".", "_")] = name
    return tools


def _shared_schema() -> ToolSchema:
    lines = [
        "Instruments by name. Each takes `unit` (U if left out) and, where it lists, `k`; "
        "? may be left out."
    ]
    for tool, name in instrument_tools().items():
        lines.append(f"{_signature(tool)}: {_SUMMARIES.get(name) or _first_line(name)}")
    arguments = {"name": {"type": "string"}, "arguments": {"type": "object"}}
    schema = {"type": "object", "properties": arguments, "required": ["name", "arguments"]}
    return ToolSchema(SHARED, "\n".join(lines), schema)


def _first_line(name: str) -> str:
    """The docstring's first line, without examples of addresses, which a blinded model must not see."""
    summary = instruments.get(name).summary
    summary = re.sub(r"\s*\([^()]*\b(?:mlp|head|resid)\.[^()]*\)", "", summary)
    return Aliases(Unit("mlp", 0, 0)).hide(summary)


def _signature(tool: str) -> str:
    """``steer(text, strengths[], op? add|set|scale)``, without what all have in common."""
    schema = _shorten(instruments.get(instrument_tools()[tool]).schema())
    required = schema.get("required", ())
    parts = []
    for argument, described in schema["properties"].items():
        is_common = argument == "k" or (argument == "unit" and "unit" in required)
        if is_common or argument in _BLINDED or argument in _UNLISTED:
            continue
        array = "[]" if described.get("type") == "array" else ""
        optional = "" if argument in required and argument not in _DEFAULTS else "?"
        choices = " " + "|".join(described["enum"]) if "enum" in described else ""
        parts.append(f"{argument}{array}{optional}{choices}")
    return f"{tool}({', '.join(parts)})"


_DROPPED = frozenset(
    {"title", "description", "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum"}
    | {"$defs", "default", "additionalProperties"}
)


def _shorten(schema: Any, definitions: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """A JSON schema without titles, descriptions, limits and null alternatives, and with no `$ref`."""
    definitions = definitions or schema.get("$defs", {})
    if "$ref" in schema:
        return _shorten(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions)
    if "anyOf" in schema:
        alternatives = [s for s in schema["anyOf"] if s.get("type") != "null"]
        if len(alternatives) == 1:
            return _shorten(alternatives[0], definitions)
    short = {key: value for key, value in schema.items() if key not in _DROPPED}
    if "properties" in short:
        short["properties"] = {k: _shorten(v, definitions) for k, v in short["properties"].items()}
    if isinstance(short.get("items"), dict):
        short["items"] = _shorten(short["items"], definitions)
    if "anyOf" in short:
        short["anyOf"] = [_shorten(s, definitions) for s in short["anyOf"]]
    return short


def unwrap_call(tool: str, arguments: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """An instrument's tool name and arguments, from a call that may come through the shared tool.

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
    if inner is None:  # some models write them next to the name instead of into `arguments`
        return name, {k: v for k, v in arguments.items() if k not in ("name", "arguments")}
    if isinstance(inner, str):
        with suppress(ValueError, RecursionError):
            inner = json.loads(inner)
    if not isinstance(inner, dict):
        raise ArgumentError(f"{SHARED}: arguments is not an object; {_signature(name)}")
    return name, inner


def validate_arguments(tool: str, arguments: Mapping[str, Any]) -> Any:
    """The checked arguments of one of its own tools; ArgumentError says how to repair them."""
    model = OWN[tool][0]
    try:
        return model.model_validate(_repair_lists(model, arguments))
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            for fault in error.errors(include_url=False)[:5]
        )
        raise ArgumentError(f"{tool}: {faults}") from None


def _repair_lists(model: type[BaseModel], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Accept a list that is written as a string of JSON, and a single member without its list."""
    fields = dict(arguments)
    for name in model.model_fields:
        if isinstance(value := fields.get(name), str) and value[:1] in ("[", "{"):
            with suppress(ValueError, RecursionError):
                fields[name] = json.loads(value)
        if name in ("hypotheses", "experiments") and isinstance(fields.get(name), dict):
            fields[name] = [fields[name]]
    return fields


def replace_aliases(tool: str, arguments: Mapping[str, Any], aliases: Aliases) -> dict[str, Any]:
    """An instrument's arguments with addresses for aliases; an omitted unit is U."""
    if blinded := sorted(set(arguments) & _BLINDED):
        raise ArgumentError(f"{tool}: {blinded[0]} cannot be chosen here; leave it out")
    replaced = dict(arguments)
    for name, is_required in _unit_arguments(tool).items():
        if name in replaced:
            value = replaced[name]
            if name == "units" and isinstance(value, str) and not value.startswith("["):
                value = [value]
            replaced[name] = aliases.reveal(value)
        elif is_required and name in _DEFAULTS:
            replaced[name] = aliases.reveal(_DEFAULTS[name])
    if tool in _BRIEF:
        replaced.setdefault("k", _BRIEF[tool])
    return replaced


@cache
def _unit_arguments(tool: str) -> Mapping[str, bool]:
    """The arguments of an instrument that name units, and whether they are required."""
    schema = instruments.get(instrument_tools()[tool]).schema()
    return {
        name: name in schema.get("required", ())
        for name, described in schema["properties"].items()
        if "address of a unit" in json.dumps(described)
    }
