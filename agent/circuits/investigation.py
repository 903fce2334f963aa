"""The loop, on one page: how the circuit of one task is found, explained and tested.

    observe -> propose -> verify -> conclude
        |________________________________^       the subject cannot do the task: that is the result

1. observe    on discovery prompts: can the subject do it? Every edge is ranked and a connected circuit
              grown from the logits; its strongest edges and a random sample are measured exactly; its strongest
              components are patched, and what they look at and write is measured
2. propose    the explainer names each component's role in words and in numbers, which go to the log
3. verify     held-out prompts are opened, once: faithfulness over ten sizes and that of random circuits, noising
              and denoising by three ablations at both levels, every prediction, and interchange within a role
4. conclude   a role whose prediction failed is dropped; the verdict is decided; circuit.json, drawing and report
              are written

There is no select split and no revising: a circuit is chosen by its size or its f on discovery
prompts, and its roles are tested once. Why this is a separate loop:
docs/design/circuit-investigation.md.
"""

from __future__ import annotations

from typing import Any

from ...evals.statistics.ability import measure_ability
from .build_result import build_no_circuit, build_result
from .choose_circuit import choose_circuit, choose_imported
from .context import CircuitContext
from .observe import DiscoveryFindings, measure_components
from .result import CircuitResult
from .robustness import check_robustness
from .role_finders import role_finder
from .roles import NoRoles, Role, RoleEvidence, RoleExample
from .verify import verify

SHOWN_EXAMPLES = 3
"""Pairs that the explainer sees as text, each from another batch."""


def investigate(context: CircuitContext) -> CircuitResult:
    """The whole investigation, with what was measured before taken from the journal."""
    discovery = observe(context)
    choice = discovery.choice
    if choice is None:
        subject, task = context.subject_facts["name"], context.task_facts["name"]
        context.reporter.say(f"{subject} cannot do {task}: {discovery.ability.why}")
        return build_no_circuit(context, discovery)
    roles = propose(context, discovery)
    robustness = check_robustness(context, discovery.prompts, choice)
    heldout = verify(context, choice, discovery.parts, roles)
    return build_result(context, discovery, choice, robustness, heldout)


def observe(context: CircuitContext) -> DiscoveryFindings:
    """Look at discovery prompts only."""
    prompts = context.discovery_prompts()
    ability = measure_ability(*context.logit_differences(prompts))
    if not ability.can:
        return DiscoveryFindings(prompts, ability)
    if context.config.imported:
        choice = choose_imported(context, prompts)
    else:
        choice = choose_circuit(context, prompts, context.edge_scores(prompts))
    parts = measure_components(context, prompts, choice, ability.clean.value)
    return DiscoveryFindings(prompts, ability, choice, parts)


def propose(context: CircuitContext, discovery: DiscoveryFindings) -> tuple[Role, ...]:
    """Let the explainer name roles; its predictions are logged before a held-out prompt is drawn."""
    by_model = context.config.explainer.is_language_model
    name_roles = _ask_language_model if by_model else _apply_rules
    roles = name_roles(context, _evidence(context, discovery))
    for role in roles:
        for number, prediction in enumerate(role.predictions):
            key = f"{role.component}.{number}"
            if context.log.get("prediction", id=key) is None:
                row = vars(prediction) | {"component": role.component}
                context.log.write("prediction", row, id=key)
    return tuple(roles)


def _apply_rules(context: CircuitContext, evidence: RoleEvidence) -> list[Role]:
    """Roles by rules; journaled, so that a replay has the same even if the rules change."""
    explainer = context.config.explainer.name

    def find() -> Any:
        return [role.to_json() for role in role_finder(explainer)(evidence)]

    components = [
        {
            "name": component.name,
            "kind": component.kind,
            "depth": component.depth,
            "quantities": {k: interval._asdict() for k, interval in component.quantities.items()},
        }
        for component in evidence.components
    ]
    request = {"what": "roles", "explainer": explainer, "components": components}
    return [Role.from_json(row) for row in context.journal.measured(request, find)]


def _ask_language_model(context: CircuitContext, evidence: RoleEvidence) -> list[Role]:
    """Roles from a language model's replies; the replies are journaled, and parsed again each time."""
    explainer, failures = context.config.explainer.name, context.log.all("roles_failed")
    find_roles = role_finder(explainer, context.ask, len(failures))
    context.reporter.say(f"asking {explainer} for roles")
    try:
        return find_roles(evidence)
    except NoRoles as error:
        context.log.write("roles_failed", {"error": str(error)}, id=str(len(failures)))
        raise


def _evidence(context: CircuitContext, discovery: DiscoveryFindings) -> RoleEvidence:
    """What the explainer sees of the components, and the first prompts as examples."""
    first_pairs = [batch.pairs.pairs[0] for batch in discovery.prompts.batches[:SHOWN_EXAMPLES]]
    examples_shown = [
        RoleExample(p.clean, p.corrupted, " or ".join(p.answer), " or ".join(p.foil))
        for p in first_pairs
    ]
    return RoleEvidence(
        context.task_facts["summary"],
        discovery.ability.clean.value,
        discovery.parts.components,
        examples_shown,
    )
