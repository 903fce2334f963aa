"""Encoders against plain hooks of transformers, and what they must refuse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from hubel.agent.cli.main import run_command_line
from hubel.studies import StudyContext
from hubel.studies.training.checkpoints import measure_checkpoint
from hubel.studies.training.diagnose import measure_blocks
from hubel.tools.abstraction.interchange import check_place
from hubel.tools.attribution.target import Activation, _check
from hubel.tools.circuits.circuit_model import CircuitModel
from hubel.tools.corpus import Corpus
from hubel.tools.errors import HubelError, UsageError
from hubel.tools.index import build_index
from hubel.tools.instruments import InstrumentContext, call
from hubel.tools.monitoring.reader import UnitReader
from hubel.tools.subject import Intervention, Site, Unit, load_subject, subject_shape
from hubel.tools.subject.attention import attention_patterns
from hubel.tools.subject.encoder import Encoder
from hubel.tools.subject.selftest import self_test
from tests.support.tiny import tiny_model, tiny_tokenizer
from tests.support.tiny_encoder import (
    ENCODER_TYPES,
    save_tiny_encoder,
    tiny_encoder,
)

from .model_folder import edit_json, refusal

TEXTS = ("the cat was red .", "Monday the dog was not very blue , a river bank was .", "fri")


def padded(subject: Encoder, texts: tuple[str, ...] = TEXTS) -> torch.Tensor:
    rows = [torch.tensor(subject.tokenize(text).ids) for text in texts]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


def hooked(subject: Any, ids: torch.Tensor) -> dict[tuple[str, int], torch.Tensor]:
    """The same values by plain hooks on transformers' modules, which know nothing of hubel's table."""
    paths = {
        "distilbert": ("transformer", "attention.out_lin", "ffn.lin2", "ffn"),
    }
    trunk, z, mlp, into = paths.get(
        subject.model.config.model_type,
        ("encoder", "attention.output.dense", "output.dense", "intermediate"),
    )
    found: dict[tuple[str, int], torch.Tensor] = {}
    handles: list[Any] = []
    for number, layer in enumerate(getattr(subject.model, trunk).layer):
        for kind, path in (("z", z), ("mlp", mlp), ("mlp_in", into)):
            module = layer.get_submodule(path)
            key = (kind, number)
            handles.append(
                module.register_forward_pre_hook(
                    lambda _module, args, key=key: found.__setitem__(key, args[0])
                )
            )
    with torch.no_grad():
        output = subject.model(ids, output_hidden_states=True)
    for handle in handles:
        handle.remove()
    streams = enumerate(output.hidden_states[1:])
    return found | {("stream", number): stream for number, stream in streams}


@pytest.mark.parametrize("model_type", ENCODER_TYPES)
def test_activations_are_those_of_plain_hooks_bit_for_bit(model_type: str) -> None:
    subject = tiny_encoder(model_type)
    self_test(subject)
    ids = torch.tensor([subject.tokenize(TEXTS[1]).ids])
    for (kind, layer), expected in hooked(subject, ids).items():
        site: Any = Site(kind, layer)  # type: ignore[arg-type]
        assert torch.equal(subject.capture(ids, [site]).activations[site], expected), site


@pytest.mark.parametrize("model_type", ENCODER_TYPES)
def test_head_units_are_the_norms_of_the_heads_writes(model_type: str) -> None:
    subject = tiny_encoder(model_type)
    ids = torch.tensor([subject.tokenize(TEXTS[0]).ids])
    site = Site("head", 1)
    z = hooked(subject, ids)["z", 1][0].unflatten(-1, (4, 4))
    weight = subject.head_matrices(1)
    for head in range(4):
        expected = (z[:, head] @ weight[head].T).norm(dim=-1)
        torch.testing.assert_close(
            subject.capture(ids, [site]).activations[site][0, :, head], expected
        )


@pytest.mark.parametrize("model_type", ENCODER_TYPES)
def test_padding_changes_nothing(model_type: str) -> None:
    subject = tiny_encoder(model_type)
    sites = [Site(kind, layer) for kind in ("mlp", "head", "stream") for layer in range(3)]
    together = subject.capture(padded(subject), sites).activations
    for row, text in enumerate(TEXTS):
        ids = subject.tokenize(text).ids
        alone = subject.capture(torch.tensor([ids]), sites).activations
        for site in sites:
            torch.testing.assert_close(
                together[site][row, : len(ids)], alone[site][0], atol=1e-5, rtol=1e-5
            )


def test_a_later_word_changes_an_earlier_activation() -> None:
    subject = tiny_encoder()
    site = Site("mlp", 1)
    one, other = padded(subject, ("the cat was red .", "the cat was blue .")).split(1)
    of_one, of_other = (
        subject.capture(ids, [site]).activations[site][0, 1] for ids in (one, other)
    )
    assert subject.bidirectional
    assert not torch.allclose(of_one, of_other)


@pytest.mark.parametrize("model_type", ENCODER_TYPES)
def test_rows_of_attention_patterns_sum_to_one_and_look_at_no_padding(model_type: str) -> None:
    subject = tiny_encoder(model_type)
    ids = padded(subject)
    patterns = attention_patterns(subject, ids)
    assert patterns.shape == (3, 3, 4, ids.shape[1], ids.shape[1])
    torch.testing.assert_close(patterns.sum(-1), torch.ones(patterns.shape[:-1]))
    length = len(subject.tokenize(TEXTS[0]).ids)
    assert patterns[:, 0, :, :length, length:].max() == 0
    assert patterns[:, 0, :, 0, 1:length].min() > 0, "the first token sees those after it"
    assert subject.model.config._attn_implementation == "sdpa"


def test_a_text_is_wrapped_in_tokens_that_cover_no_characters() -> None:
    tokens = tiny_encoder().tokenize("The cat")
    assert tokens.ids == [2, 5, 7, 3]
    assert tokens.offsets == [(0, 0), (0, 3), (4, 7), (7, 7)]
    assert tiny_encoder().tokenize("[SEP]").ids.count(3) == 1, "a spelled-out token is plain text"


def test_interventions_reach_an_encoder() -> None:
    subject = tiny_encoder()
    ids = torch.tensor([subject.tokenize(TEXTS[0]).ids])
    last = Site("stream", 2)
    zero = [Intervention(Unit("mlp", 2, number), "zero") for number in range(24)]
    edited = subject.capture(ids, [last], interventions=[zero]).activations[last]
    layer = subject.model.encoder.layer[2]
    middle = hooked(subject, ids)["mlp_in", 2]
    expected = layer.output.LayerNorm(layer.output.dense.bias + middle)
    torch.testing.assert_close(edited, expected)


@pytest.mark.parametrize("model_type", ENCODER_TYPES)
def test_a_folder_loads_as_an_encoder(tmp_path: Path, model_type: str) -> None:
    folder = str(save_tiny_encoder(tmp_path / "m", model_type))
    subject = load_subject(folder, device="cpu")
    assert subject.bidirectional
    assert (subject.shape.n_layers, subject.shape.n_neurons, subject.shape.n_heads) == (3, 24, 4)
    assert subject_shape(folder).n_neurons == 24
    assert subject.context_length == (64 if "roberta" in model_type else 66)
    ids = torch.tensor([subject.tokenize(TEXTS[1]).ids])
    expected = hooked(tiny_encoder(model_type), ids)["stream", 2]
    assert torch.equal(
        subject.capture(ids, [Site("stream", 2)]).activations[Site("stream", 2)], expected
    )
    longest = torch.full((1, subject.context_length), 5)
    assert subject.capture(longest, [Site("mlp", 0)]).activations


def test_a_folder_with_the_head_of_its_training_task_loads_without_it(tmp_path: Path) -> None:
    folder = save_tiny_encoder(tmp_path)
    weights = {f"bert.{name}": it for name, it in load_file(folder / "model.safetensors").items()}
    weights["cls.predictions.bias"] = torch.zeros(21)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert load_subject(str(folder), device="cpu").bidirectional
    del weights["bert.encoder.layer.1.output.dense.bias"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert "encoder.layer.1.output.dense.bias" in refusal(folder)


def test_a_model_with_a_causal_mask_is_no_encoder(tmp_path: Path) -> None:
    folder = save_tiny_encoder(tmp_path)
    edit_json(folder / "config.json", {"is_decoder": True})
    assert "set is_decoder to false" in refusal(folder)


_NONE: Any = None  # no document is read
ASKED: dict[str, Callable[[Encoder, Path], Any]] = {
    "circuits": lambda subject, _: CircuitModel(subject),
    "logits": lambda subject, _: subject.capture(padded(subject), [], logits=True),
    "unembedding": lambda subject, _: subject.logits_of(torch.zeros(16)),
    "final vectors": lambda subject, _: subject.logits_from(torch.zeros(1, 16)),
    "watch": lambda subject, _: UnitReader(subject, [Unit("mlp", 1, 1)]),
    "trajectory": lambda subject, _: measure_checkpoint(subject, "", 8, 16, 0),
    "diagnosis": lambda subject, _: measure_blocks(StudyContext(), subject, "sva", 20, 0),
    "vocabulary": lambda subject, _: subject.n_vocabulary,
    "index": lambda subject, path: build_index(subject, Corpus("x", "x", "0", _NONE), path / "i"),
    "attribution": lambda subject, _: _check(subject, Activation(Unit("mlp", 1, 1))),
    "abstraction": lambda subject, _: check_place(subject, None, 3),  # type: ignore[arg-type]
    "generate": lambda subject, _: call(
        "generate", {"text": "the cat", "units": ["mlp.1.1"]}, InstrumentContext(subject)
    ),
    "logit_lens": lambda subject, _: call(
        "logit_lens", {"unit": "mlp.1.1"}, InstrumentContext(subject)
    ),
}


@pytest.mark.parametrize("what", ASKED)
def test_what_needs_next_tokens_refuses_an_encoder_in_one_line(what: str, tmp_path: Path) -> None:
    subject = tiny_encoder()
    with pytest.raises(HubelError) as error:
        ASKED[what](subject, tmp_path)
    message = str(error.value)
    assert "is an encoder" in message
    assert "smollm2-135m" in message
    assert "\n" not in message


def test_a_circuit_run_of_an_encoder_writes_nothing(tmp_path: Path, capsys: Any) -> None:
    folder = save_tiny_encoder(tmp_path / "bert")
    for subject, says in ((folder, "is an encoder"), (tmp_path / "none", "no subject")):
        command = ["circuit", "run", "--task", "sva", "--subject", str(subject), "--name", "c"]
        assert run_command_line([*command, "--runs", str(tmp_path / "runs")]) == 2
        assert says in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_decoder_is_no_encoder() -> None:
    tokenizer = tiny_tokenizer()
    with pytest.raises(
        UsageError, match=r"'llama' is a decoder \(llama\); an encoder is expected here: bert"
    ):
        Encoder(tiny_model(vocab_size=len(tokenizer)), tokenizer, name="llama")


def test_instruments_read_units_of_an_encoder() -> None:
    context = InstrumentContext(tiny_encoder())
    text = "the cat was red ."
    result: Any = call(
        "activations.on_text", {"texts": [text], "units": ["mlp.1.3", "head.0.2"]}, context
    )
    subject = tiny_encoder()
    ids = torch.tensor([subject.tokenize(text).ids])
    expected = subject.unit_activations(ids, [Unit("mlp", 1, 3)])[0, 0]
    assert result.texts[0].activations["mlp.1.3"] == pytest.approx(expected.tolist(), abs=1e-3)
    assert result.texts[0].tokens[0].strip() == "[CLS]"


@pytest.mark.subject
def test_minilm_is_what_transformers_computes() -> None:
    subject = load_subject("minilm", device="cpu")
    assert (subject.revision, subject.bidirectional) == ("53aa51172d142c89", True)
    ids = torch.tensor([subject.tokenize("The river bank flooded on Monday.").ids])
    for (kind, layer), expected in hooked(subject, ids).items():
        site: Any = Site(kind, layer)  # type: ignore[arg-type]
        assert torch.equal(subject.capture(ids, [site]).activations[site], expected), site
    patterns = attention_patterns(subject, ids)
    torch.testing.assert_close(patterns.sum(-1), torch.ones(patterns.shape[:-1]))
