"""The loop, on one page: how the circuit of one task is found, explained and tested.

    observe -> propose -> verify -> conclude
        |________________________________^       the subject cannot do the task: that is the answer, and no circuit

1. observe    on discovery prompts: can the subject do it? Every edge is ranked and a connected circuit
              grown from the logits; its strongest edges and a random sample are measured exactly; its strongest
              components are patched, and what they look at and write is read
2. propose    the explainer names each component's role in words and in numbers, which go to the log
3. verify     held-out prompts are opened, once: faithfulness over ten sizes beside random circuits, noising and
              denoising by three ablations at both levels, every prediction, and interchange within a role
4. conclude   a role whose prediction failed is dropped; the verdict falls; circuit.json, drawing and report are written

There is no select split and no revising: a circuit is chosen by its size or its f on discovery
prompts, and its roles are tested once. Why this is a graph of its own:
docs/design/circuit-investigation.md.
"""

from __future__ import annotations

from typing import Any

from ...evals.statistics.ability import measure_ability
from ...tools.circuits.tasks.task import examples
from .choose_circuit import choose
from .context import CircuitContext
from .observe import Observed, components
from .prompts import Prompts, as_json, from_json
from .result import result
from .robustness import scrutinise
from .role_finders import role_finder
from .roles import NoRoles, Role, RoleEvidence
from .verify import verify

Result = dict[str, Any]
SHOWN_EXAMPLES = 3
"""Pairs that whoever names roles sees as text, each of another template."""


def investigate(room: CircuitContext) -> Result:
    """The whole investigation; what was measured before is taken from the journal. Returns circuit.json's content."""
    seen = observe(room)
    if seen.choice is None:
        room.reporter.say(
            f"{room.facts['name']} cannot do {room.about['name']}: {seen.ability.why}"
        )
        return conclude(room, seen, (), {})
    roles = propose(room, seen)
    found = scrutinise(room, seen.prompts, seen.choice)
    found |= verify(room, seen.choice, seen.parts, roles)
    return conclude(room, seen, roles, found)


def observe(room: CircuitContext) -> Observed:
    """Look at discovery prompts only."""
    prompts = discovery_prompts(room)
    found = measure_ability(*room.readings(prompts))
    if not found.can:
        return Observed(prompts, found)
    scores = room.scores(prompts)
    choice = choose(room, prompts, scores)
    return Observed(prompts, found, choice, components(room, prompts, choice, found.clean.value))


def discovery_prompts(room: CircuitContext) -> Prompts:
    """The prompts that discovery may see."""
    from ...tools.circuits.tasks.prepared import lexicon, prepare

    def draw() -> Any:
        subject, config = room.model.subject, room.config
        drawn = examples(room.task, "discovery", config.seed, lexicon(subject))
        return as_json(subject, prepare(subject, room.task, drawn, config.discovery))

    request = {
        "what": "prompts",
        "part": "discovery",
        "n": room.config.discovery,
        "seed": room.config.seed,
    }
    return from_json("discovery", room.journal.measured(request, draw))


def propose(room: CircuitContext, seen: Observed) -> tuple[Role, ...]:
    """Let the explainer name roles; its answer stands in the log before a held-out prompt is drawn."""
    roles = tuple(
        _asked(room, seen) if room.config.explainer.is_language_model else _by_rule(room, seen)
    )
    for role in roles:
        for number, prediction in enumerate(role.predictions):
            identity = f"{role.component}.{number}"
            if room.log.get("prediction", id=identity) is None:
                room.log.write(
                    "prediction", vars(prediction) | {"component": role.component}, id=identity
                )
    return roles


def _by_rule(room: CircuitContext, seen: Observed) -> list[Role]:
    def ask() -> Any:
        return [
            role.to_json()
            for role in role_finder(room.config.explainer.name)(_evidence(room, seen))
        ]

    names = ("name", "kind", "depth")
    shown = [
        {name: getattr(c, name) for name in names}
        | {"quantities": {k: vars(v) for k, v in c.quantities.items()}}
        for c in seen.parts.components
    ]
    answer = room.journal.measured(
        {"what": "roles", "explainer": room.config.explainer.name, "components": shown}, ask
    )
    return [Role.from_json(each) for each in answer]


def _asked(room: CircuitContext, seen: Observed) -> list[Role]:
    """Roles as a language model's replies name them: those are journaled, and read anew each time."""
    failures = room.log.all("roles_failed")
    find = role_finder(room.config.explainer.name, room.ask, len(failures))
    room.reporter.say(f"asking {room.config.explainer.name} for roles")
    try:
        return find(_evidence(room, seen))
    except NoRoles as error:
        room.log.write("roles_failed", {"error": str(error)}, id=str(len(failures)))
        raise


def _evidence(room: CircuitContext, seen: Observed) -> RoleEvidence:
    pairs = [batch.pairs.pairs[0] for batch in seen.prompts.batches[:SHOWN_EXAMPLES]]
    examples = [(p.clean, p.corrupted, " or ".join(p.answer), " or ".join(p.foil)) for p in pairs]
    return RoleEvidence(
        room.about["summary"], seen.ability.clean.value, seen.parts.components, examples
    )


def conclude(
    room: CircuitContext, seen: Observed, roles: tuple[Role, ...], found: Result
) -> Result:
    """Put together what was found; the verdict falls on the held-out numbers."""
    return result(room, seen, roles, found)
