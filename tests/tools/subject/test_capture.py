from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from hubel.tools.errors import ArgumentError, UsageError
from hubel.tools.subject import Site, Subject, Unit
from hubel.tools.subject.architectures import Architecture, architecture_of, matrix, register
from hubel.tools.subject.capture import stream
from tests.support.tiny import D_MODEL, MODEL_TYPES, N_HEADS, N_LAYERS, N_NEURONS, tiny_subject

TEXT = "Monday the cat said 1999 in a very blue city"
EVERY = [
    Site(kind, layer)
    for kind in ("mlp", "head", "z", "stream", "mlp_in")
    for layer in range(N_LAYERS)
]  # pyright: ignore


@pytest.fixture(params=MODEL_TYPES)
def tiny(request: pytest.FixtureRequest) -> Subject:
    return tiny_subject(request.param)


def ids_of(subject: Subject, text: str = TEXT) -> Tensor:
    return torch.tensor([subject.tokenize(text).ids])


def seen(subject: Subject, module: nn.Module, ids: Tensor) -> tuple[Tensor, Tensor]:
    """What a module gets and gives, by a hook of its own."""
    calls = []
    handle = module.register_forward_hook(lambda _m, args, output: calls.append((args, output)))
    subject.model(ids)
    handle.remove()
    ((args, output),) = calls
    return (args[0] if args else None), output if isinstance(output, Tensor) else output[0]  # pyright: ignore


def test_captured_activations_have_the_widths_of_their_sites(tiny: Subject) -> None:
    subject = tiny
    ids = ids_of(subject).repeat(2, 1)
    captured = subject.capture(ids, EVERY, logits=True)
    assert subject.shape.n_layers == N_LAYERS
    widths = {
        "mlp": N_NEURONS,
        "head": N_HEADS,
        "z": N_HEADS * subject.head_dim,
        "stream": D_MODEL,
        "mlp_in": D_MODEL,
    }
    for site in EVERY:
        assert captured.activations[site].shape == (*ids.shape, widths[site.kind])
    assert captured.logits is not None
    torch.testing.assert_close(captured.logits, subject.model(ids).logits, rtol=0, atol=0)
    last = subject.capture(ids, [], logits=True, last_only=True).logits
    torch.testing.assert_close(last, captured.logits[:, -1:])


class ByName(nn.Module):
    """Calls an MLP with its argument's name."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x=x)


def test_an_input_that_is_passed_by_name_is_read_and_edited() -> None:
    plain, named = tiny_subject(), tiny_subject()
    for layer in named.model.model.layers:
        layer.mlp = ByName(layer.mlp)
    llama = named.architecture
    inner = replace(
        llama,
        mlp="mlp.inner",
        mlp_rows=("mlp.inner.gate_proj", "mlp.inner.up_proj"),
        activation="mlp.inner.act_fn",
        mlp_down="mlp.inner.down_proj",
        mlp_write="mlp.inner",
    )
    named = Subject(named.model, named.tokenizer, name="by-name", architecture=inner)
    ids = ids_of(plain)
    for site in EVERY:
        ours, expected = (s.capture(ids, [site]).activations[site] for s in (named, plain))
        torch.testing.assert_close(ours, expected)

    def halve(value: Tensor) -> None:
        value *= 0.5

    halved: list[Tensor] = []
    for subject in (plain, named):
        edits = {Site("mlp_in", 1): [halve]}
        logits = stream(subject.model, subject.parts, ids, [], lambda *_: None, edits, logits=True)
        assert logits is not None
        halved.append(logits)
    torch.testing.assert_close(halved[1], halved[0])
    assert not torch.allclose(halved[0], plain.model(ids).logits)


def test_neurons_are_what_enters_the_down_projection(tiny: Subject) -> None:
    subject = tiny
    ids = ids_of(subject)
    captured = subject.capture(ids, EVERY).activations
    for layer, parts in enumerate(subject.parts.layers):
        neurons, out = seen(subject, parts.mlp_down, ids)
        torch.testing.assert_close(captured[Site("mlp", layer)], neurons, rtol=0, atol=0)
        bias = getattr(parts.mlp_down, "bias", None)
        written = neurons @ matrix(parts.mlp_down).T + (0 if bias is None else bias)
        torch.testing.assert_close(written, out)


def test_heads_add_up_to_the_attention_output(tiny: Subject) -> None:
    subject = tiny
    ids = ids_of(subject)
    captured = subject.capture(ids, EVERY).activations
    for layer, parts in enumerate(subject.parts.layers):
        z = captured[Site("z", layer)].unflatten(-1, (N_HEADS, -1))
        writes = torch.einsum("hdk,bshk->bshd", subject.head_matrices(layer), z)
        bias = getattr(parts.attention_out, "bias", None)
        _, out = seen(subject, parts.attention_out, ids)
        torch.testing.assert_close(writes.sum(dim=2) + (0 if bias is None else bias), out)
        torch.testing.assert_close(
            captured[Site("head", layer)], writes.norm(dim=-1), rtol=1e-4, atol=1e-5
        )


def test_writes_add_up_along_the_stream(tiny: Subject) -> None:
    subject = tiny
    ids = ids_of(subject)
    captured = subject.capture(ids, EVERY).activations
    for layer in range(1, N_LAYERS):
        parts = subject.parts.layers[layer]
        writes = (
            seen(subject, parts.attention_write, ids)[1] + seen(subject, parts.mlp_write, ids)[1]
        )
        before, after = captured[Site("stream", layer - 1)], captured[Site("stream", layer)]
        torch.testing.assert_close(before + writes, after, rtol=1e-4, atol=1e-4)


def test_directions_are_projections_of_the_stream(tiny: Subject) -> None:
    subject = tiny
    vectors = {
        "one": torch.randn(D_MODEL, generator=torch.Generator().manual_seed(1)),
        "two": torch.randn(D_MODEL),
    }
    subject = Subject(subject.model, subject.tokenizer, name="t", directions={1: vectors})
    ids = ids_of(subject)
    captured = subject.capture(ids, [Site("resid", 1), Site("stream", 1)]).activations
    for column, vector in enumerate(vectors.values()):
        expected = (captured[Site("stream", 1)] * vector).sum(-1) / vector.norm()
        torch.testing.assert_close(captured[Site("resid", 1)][..., column], expected)


def test_what_a_neuron_writes_is_what_it_adds(tiny: Subject) -> None:
    subject = tiny
    parts = subject.parts.layers[1]
    pushed = torch.zeros(1, N_NEURONS)
    pushed[0, 7] = 1
    added = parts.mlp_down(pushed) - parts.mlp_down(torch.zeros(1, N_NEURONS))
    written = subject.write_direction(Unit("mlp", 1, 7))
    if parts.mlp_write is parts.mlp:
        torch.testing.assert_close(added[0], written)
    else:  # behind a post-norm: up to a positive factor
        added = parts.mlp_write(added)[0]
        torch.testing.assert_close(
            added / added.norm(), written / written.norm(), rtol=1e-4, atol=1e-4
        )


def test_logits_of_a_direction(tiny: Subject) -> None:
    subject = tiny
    # By the model's own norm: on states of equal size that it leaves at scale 1, logits are linear
    # in the state.
    norm, head = subject.parts.final_norm, subject.parts.unembed
    direction = torch.randn(D_MODEL, generator=torch.Generator().manual_seed(1))
    centred = direction - direction.mean() if subject.architecture.norm == "layer" else direction
    size = centred.pow(2).mean().sqrt()
    offset = getattr(norm, "bias", None)
    expected = head(norm(direction) * size - (0 if offset is None else offset * size))
    torch.testing.assert_close(subject.logits_of(direction), expected, rtol=1e-3, atol=1e-4)


def test_a_shallow_capture_stops_there() -> None:
    subject = tiny_subject()
    reached: list[int] = []
    order = {parts.whole: layer for layer, parts in enumerate(subject.parts.layers)}
    for whole in order:
        whole.register_forward_pre_hook(lambda module, _args: reached.append(order[module]))
    subject.capture(ids_of(subject), [Site("mlp", 1), Site("head", 0)])
    assert reached == [0, 1]
    subject.capture(ids_of(subject), [Site("mlp", 0)], logits=True)
    assert reached == [0, 1, 0, 1, 2]


def test_no_hook_stays_behind_after_an_error() -> None:
    subject = tiny_subject()
    with pytest.raises(IndexError):
        subject.capture(torch.tensor([[10_000]]), EVERY)
    assert all(
        not module._forward_hooks and not module._forward_pre_hooks
        for module in subject.model.modules()
    )


def test_captured_activations_are_not_copies() -> None:
    subject = tiny_subject()
    pointers = []
    subject.parts.layers[0].mlp_down.register_forward_pre_hook(
        lambda _m, args: pointers.append(args[0].data_ptr())
    )
    captured = subject.capture(ids_of(subject), [Site("mlp", 0)]).activations
    assert pointers == [captured[Site("mlp", 0)].data_ptr()]


def test_padding_on_the_right_is_harmless(tiny: Subject) -> None:
    subject = tiny
    ids = ids_of(subject)
    padded = torch.cat([ids, torch.zeros(1, 9, dtype=torch.long)], dim=1)
    short, long = (
        subject.capture(ids, EVERY).activations,
        subject.capture(padded, EVERY).activations,
    )
    for site in EVERY:
        torch.testing.assert_close(long[site][:, : ids.shape[1]], short[site], rtol=1e-4, atol=1e-4)


def test_activations_of_units() -> None:
    subject = tiny_subject(directions={2: {"d": torch.ones(D_MODEL)}})
    ids = ids_of(subject)
    units = [Unit.parse(text) for text in ("mlp.1.3-", "head.0.2", "resid.2@d", "mlp.1.4")]
    values = subject.unit_activations(ids, units)
    captured = subject.capture(
        ids, [*(unit.place for unit in units), Site("stream", 2)]
    ).activations
    assert values.shape == (4, *ids.shape)
    torch.testing.assert_close(values[0], captured[Site("mlp", 1)][..., 3])
    torch.testing.assert_close(values[1], captured[Site("head", 0)][..., 2])
    torch.testing.assert_close(values[2], captured[Site("stream", 2)].sum(-1) / D_MODEL**0.5)


def test_tokens_and_their_spans() -> None:
    subject = tiny_subject()
    text = "Monday zé the  cat\n"
    ids, offsets = subject.tokenize(text)
    strings = subject.token_strings()
    assert len(strings) == subject.model.get_input_embeddings().weight.shape[0]
    assert [strings[i] for i in ids[:2]] == ["Monday", " "]
    assert offsets[0] == (0, 6)
    assert [text[a:b] for (a, b), i in zip(offsets, ids, strict=True) if strings[i] == " the"] == [
        " the"
    ]


def test_other_number_formats() -> None:
    subject = tiny_subject()
    full = subject.capture(ids_of(subject), EVERY).activations
    subject.model.to(torch.bfloat16)
    half = subject.capture(ids_of(subject), EVERY).activations
    assert half[Site("mlp", 0)].dtype == torch.bfloat16
    torch.testing.assert_close(half[Site("head", 0)], full[Site("head", 0)], rtol=0.1, atol=0.1)


def test_wrong_use_is_readable() -> None:
    subject = tiny_subject()
    with pytest.raises(UsageError, match="shape"):
        subject.capture(torch.tensor([1, 2]), EVERY)
    with pytest.raises(UsageError, match="at most 128"):
        subject.capture(torch.ones(1, 129, dtype=torch.long), EVERY)
    with pytest.raises(UsageError, match="layers 0 to 2"):
        subject.capture(ids_of(subject), [Site("mlp", 3)])
    with pytest.raises(UsageError, match="no named directions"):
        subject.capture(ids_of(subject), [Site("resid", 0)])
    with pytest.raises(ArgumentError, match="is a head"):
        subject.write_direction(Unit("head", 0, 0))
    with pytest.raises(UsageError, match="not all zero"):
        tiny_subject(directions={0: {"nothing": torch.zeros(D_MODEL)}})
    with pytest.raises(UsageError, match="layers 0 to 2"):
        tiny_subject(directions={9: {"far": torch.ones(D_MODEL)}})


def test_an_unknown_family_says_what_to_add() -> None:
    with pytest.raises(UsageError, match=r"Architecture\('mamba'.*architectures.py"):
        architecture_of("mamba")
    with pytest.raises(UsageError, match="registered already"):
        register(Architecture("llama"))
    with pytest.raises(UsageError, match=r"no module 'attn\.c_proj'"):
        tiny_subject("llama", architecture=Architecture("mine", attention_out="attn.c_proj"))
