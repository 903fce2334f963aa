"""Latents and error nodes, against the bare model, single interventions and finite differences."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from hubel.tools.circuits.hooks import temporary_hooks
from hubel.tools.circuits.latents.ablated_runs import (
    ablated_values,
    last_logits,
    node_values,
    run_latents,
    visit_site,
)
from hubel.tools.circuits.latents.attribution import exact_effects, node_effects, node_gradients
from hubel.tools.circuits.latents.nodes import LatentNodes, NodeValues
from hubel.tools.circuits.prompts import PromptPairs
from hubel.tools.dictionaries.dictionary import Dictionary
from hubel.tools.errors import UsageError
from hubel.tools.subject import Intervention, Site, Subject, Unit
from hubel.tools.subject.attach_latents import attach_latents
from tests.support.dictionaries import ActivationName, random_dictionary
from tests.support.tiny import tiny_subject
from tests.tools.circuits.conftest import random_pairs

PLACES: list[tuple[Site, Site | None, ActivationName]] = [
    (Site("stream", 0), None, "jumprelu"),
    (Site("mlp_in", 1), Site("mlp_out", 1), "topk"),
    (Site("stream", 1), None, "gated"),
]


def dictionaries(subject: Subject) -> LatentNodes:
    made = [
        random_dictionary(subject, f"d{i}", reads, writes, activation=activation, threshold=0.1)
        for i, (reads, writes, activation) in enumerate(PLACES)
    ]
    width = subject.d_model
    skip = torch.randn(width, width, generator=torch.Generator().manual_seed(1)) / width
    made = [replace(each, normalisation="none") for each in made]
    made[1] = replace(made[1], skip=skip)
    return LatentNodes(tuple(made))


def metric(subject: Subject, pairs: PromptPairs, ids: Tensor) -> Tensor:
    with torch.no_grad():
        return pairs.logit_difference(last_logits(subject, ids))


def only(nodes: LatentNodes, index: int) -> LatentNodes:
    return LatentNodes((nodes.dictionaries[index],))


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
def test_with_every_node_the_model_is_unchanged_and_with_none_it_is_the_twin(family: str) -> None:
    subject, pairs = tiny_subject(family), random_pairs()
    nodes = dictionaries(subject)
    ablated = ablated_values(subject, nodes, pairs)
    kept = torch.ones(len(nodes), dtype=torch.bool)
    clean = metric(subject, pairs, pairs.clean)
    torch.testing.assert_close(
        run_latents(subject, nodes, pairs, kept, ablated), clean, atol=1e-5, rtol=1e-5
    )
    normalised = replace(nodes.dictionaries[0], normalisation="layer_norm")
    one = LatentNodes((normalised,))
    values = ablated_values(subject, one, pairs)
    whole = run_latents(subject, one, pairs, one.is_error | True, values)
    torch.testing.assert_close(whole, clean, atol=1e-5, rtol=1e-5)
    # the shift of a normalisation and a skip connection stay, so that this needs one without them
    last = only(nodes, 2)
    values = ablated_values(subject, last, pairs)
    nothing = run_latents(subject, last, pairs, torch.zeros(len(last), dtype=torch.bool), values)
    torch.testing.assert_close(
        nothing, metric(subject, pairs, pairs.corrupted), atol=1e-5, rtol=1e-5
    )


def test_exact_effects_are_those_of_interventions_on_single_latents() -> None:
    subject, pairs = tiny_subject(), random_pairs()
    nodes = dictionaries(subject)
    for number, dictionary in enumerate(nodes.dictionaries):
        attach_latents(subject, dictionary)
        one = only(nodes, number)
        ablated = ablated_values(subject, one, pairs)
        clean = node_values(subject, one, pairs.clean)
        moves = (ablated[0].latents - clean[0].latents).abs().sum((0, 1))
        latents = moves.topk(4).indices.tolist()
        effects = exact_effects(subject, one, pairs, ablated, latents)
        for column, latent in enumerate(latents):
            expected = _patched(subject, pairs, Unit("sae", -1, latent, dictionary.name))
            torch.testing.assert_close(effects[:, column], expected, atol=1e-5, rtol=1e-4)


def _patched(subject: Subject, pairs: PromptPairs, unit: Unit) -> Tensor:
    changes = [
        [Intervention(unit, "patch", source=tuple(twin.tolist()))] for twin in pairs.corrupted
    ]
    logits = subject.capture(pairs.clean, [], interventions=changes, logits=True).logits
    assert logits is not None
    return pairs.logit_difference(logits[:, -1]) - metric(subject, pairs, pairs.clean)


def test_estimates_are_finite_differences_and_add_up_to_the_whole_effect() -> None:
    subject, pairs = tiny_subject("gpt2"), random_pairs()  # llama's norms compute in float32
    subject.model.double()
    nodes = dictionaries(subject)
    for number, dictionary in enumerate(nodes.dictionaries):
        one = only(nodes, number)
        ablated, clean = (
            ablated_values(subject, one, pairs),
            node_values(subject, one, pairs.clean),
        )
        slopes = node_gradients(subject, one, pairs, clean, ablated, steps=1)
        effects = node_effects(one, clean, ablated, slopes)
        latent = int(effects[:, :-1].abs().mean(0).argmax())
        change = (ablated[0].latents - clean[0].latents)[..., latent, None]
        moved = change * dictionary.decoder[latent]
        numbers = _finite_difference(subject, pairs, dictionary, moved)
        torch.testing.assert_close(effects[:, latent], numbers, atol=1e-5, rtol=1e-3)
        error = _finite_difference(subject, pairs, dictionary, ablated[0].error - clean[0].error)
        torch.testing.assert_close(effects[:, -1], error, atol=1e-5, rtol=1e-3)

        slopes = node_gradients(subject, one, pairs, clean, ablated, steps=200)
        total = node_effects(one, clean, ablated, slopes).sum(1)
        nothing = torch.zeros(len(one), dtype=torch.bool)
        whole = run_latents(subject, one, pairs, nothing, ablated)
        exact = whole - metric(subject, pairs, pairs.clean)
        torch.testing.assert_close(total, exact.float(), atol=2e-3, rtol=2e-3)


def _finite_difference(
    subject: Subject, pairs: PromptPairs, dictionary: Dictionary, change: Tensor
) -> Tensor:
    def at(share: float) -> Tensor:
        with temporary_hooks() as hooks, torch.no_grad():
            visit_site(subject, hooks, dictionary.writes, lambda value: value + share * change)
            logits = subject.model(pairs.clean).logits[:, -1]
            return pairs.logit_difference(logits)
        raise AssertionError

    step = 1e-5
    return ((at(step) - at(-step)) / (2 * step)).float()


def test_the_mean_over_twins_and_nodes_that_cannot_be() -> None:
    subject, pairs = tiny_subject(), random_pairs()
    nodes = only(dictionaries(subject), 0)
    mean = ablated_values(subject, nodes, pairs, "mean")
    twin = ablated_values(subject, nodes, pairs)
    assert isinstance(mean[0], NodeValues)
    torch.testing.assert_close(mean[0].error[0], twin[0].error.mean(0))
    assert run_latents(subject, nodes, pairs, nodes.is_error, mean).isfinite().all()
    assert [nodes.name(node) for node in (3, len(nodes) - 1)] == ["sae.d0.3", "error.d0"]
    with pytest.raises(UsageError, match=r"all reconstruct stream\.0"):
        LatentNodes(nodes.dictionaries * 2)
