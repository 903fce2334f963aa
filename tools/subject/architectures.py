"""Where each model family keeps its modules: one small table per family; all else is derived.

Decoders here are pre-norm: `stream after = stream before + attention write + MLP write`, which the
self-test checks at load. Where a family normalises once more before it adds (Gemma 2 and 3), the
write is that norm's output. The encoders of BERT's kind normalise each sum instead (`Encoder`).

To support a family, add an `Architecture` here or pass one to `register`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from ..errors import UsageError

if TYPE_CHECKING:  # a configuration is read without torch
    import torch
    from jaxtyping import Float
    from torch import Tensor, nn

NormKind = Literal["rms", "rms_plus_one", "layer"]


@dataclass(frozen=True)
class EncoderParts:
    """A family that reads text in both directions, and normalises each sum:

        middle = attention_norm(stream before + attention write)
        stream after = mlp_norm(middle + MLP write)

    Attributes:
        attention_norm, mlp_norm: those two norms, relative to a layer.
        heads: pattern of the names of tensors outside the layers that are not loaded: poolers and
            the heads of training tasks, which hold no units.
        pooler: whether transformers' class makes a pooler by default.
        reserved_positions: positions of the table that no token gets.
    """

    attention_norm: str = "attention.output.LayerNorm"
    mlp_norm: str = "output.LayerNorm"
    heads: str = r"^(?:bert\.)?pooler\.|^cls\."
    pooler: bool = True
    reserved_positions: int = 0


@dataclass(frozen=True)
class Architecture:
    """Module paths of a family; all but `layers` and `final_norm` are relative to a layer.

    Attributes:
        attention_out: the projection whose input is the heads' z, side by side (W_O).
        attention_write, mlp_write: modules whose outputs are added to the residual stream.
        mlp_norm: the norm between the residual stream and the MLP; a family without such a module
            keeps working, but its stream cannot be recovered from the MLP's input.
        mlp_rows: projections into the neurons: (gate, up), (up,), or, with `fused`, one with the
            gate's rows first.
        mlp_down: the projection whose input is the neurons.
        norm: how a norm scales: by weight, by 1 + weight, or by weight after subtracting the mean.
        computed: pattern of the names of tensors that old files hold although the model computes
            them, such as causal masks.
        encoder: the additional parts of an encoder; None for a decoder.
    """

    model_type: str
    layers: str = "model.layers"
    attention_out: str = "self_attn.o_proj"
    attention_write: str = "self_attn"
    mlp: str = "mlp"
    mlp_norm: str = "post_attention_layernorm"
    mlp_rows: tuple[str, ...] = ("mlp.gate_proj", "mlp.up_proj")
    fused: bool = False
    activation: str = "mlp.act_fn"
    mlp_down: str = "mlp.down_proj"
    mlp_write: str = "mlp"
    final_norm: str = "model.norm"
    norm: NormKind = "rms"
    computed: str = r"\brotary_emb\.inv_freq$"
    encoder: EncoderParts | None = None

    @property
    def normalises_writes(self) -> bool:
        """Whether the MLP's output goes through a separate norm before it is added."""
        return self.encoder is None and self.mlp_write != self.mlp


_GEMMA = Architecture("gemma", norm="rms_plus_one")
_GEMMA_POST_NORM = replace(
    _GEMMA,
    attention_write="post_attention_layernorm",
    mlp_norm="pre_feedforward_layernorm",
    mlp_write="post_feedforward_layernorm",
)

_BERT = Architecture(
    "bert",
    layers="encoder.layer",
    attention_out="attention.output.dense",
    attention_write="attention.output.dense",
    mlp="intermediate",
    mlp_rows=("intermediate.dense",),
    activation="intermediate.intermediate_act_fn",
    mlp_down="output.dense",
    mlp_write="output.dense",
    final_norm="",
    norm="layer",
    computed=r"\bposition_ids$",
    encoder=EncoderParts(),
)
_ROBERTA_PARTS = EncoderParts(heads=r"^(?:roberta\.)?pooler\.|^lm_head\.", reserved_positions=2)

_TABLE = (
    Architecture("llama"),
    Architecture("mistral"),
    Architecture("qwen2"),
    Architecture("qwen3"),
    Architecture(
        "phi3", mlp_rows=("mlp.gate_up_proj",), fused=True, activation="mlp.activation_fn"
    ),
    _GEMMA,
    replace(_GEMMA_POST_NORM, model_type="gemma2"),
    replace(_GEMMA_POST_NORM, model_type="gemma3_text"),
    Architecture(
        "gpt2",
        layers="transformer.h",
        attention_out="attn.c_proj",
        attention_write="attn",
        mlp_norm="ln_2",
        mlp_rows=("mlp.c_fc",),
        activation="mlp.act",
        mlp_down="mlp.c_proj",
        final_norm="transformer.ln_f",
        norm="layer",
        computed=r"\.attn\.(?:masked_)?bias$",
    ),
    Architecture(
        "gpt_neox",
        layers="gpt_neox.layers",
        attention_out="attention.dense",
        attention_write="attention",
        mlp_rows=("mlp.dense_h_to_4h",),
        activation="mlp.act",
        mlp_down="mlp.dense_4h_to_h",
        final_norm="gpt_neox.final_layer_norm",
        norm="layer",
        computed=r"\battention\.(?:(?:masked_)?bias|rotary_emb\.inv_freq)$",
    ),
    _BERT,
    replace(_BERT, model_type="roberta", encoder=_ROBERTA_PARTS),
    replace(_BERT, model_type="xlm-roberta", encoder=_ROBERTA_PARTS),
    replace(
        _BERT,
        model_type="electra",
        encoder=EncoderParts(heads=r"^(?:discriminator|generator)_|^generator\.", pooler=False),
    ),
    replace(
        _BERT,
        model_type="distilbert",
        layers="transformer.layer",
        attention_out="attention.out_lin",
        attention_write="attention.out_lin",
        mlp="ffn",
        mlp_rows=("ffn.lin1",),
        activation="ffn.activation",
        mlp_down="ffn.lin2",
        mlp_write="ffn.lin2",
        encoder=EncoderParts("sa_layer_norm", "output_layer_norm", r"^vocab_", pooler=False),
    ),
)

ARCHITECTURES: dict[str, Architecture] = {entry.model_type: entry for entry in _TABLE}


def register(architecture: Architecture) -> None:
    """Add a family; raises UsageError when its model type is taken."""
    if architecture.model_type in ARCHITECTURES:
        raise UsageError(f"architecture {architecture.model_type!r} is registered already")
    ARCHITECTURES[architecture.model_type] = architecture


def architecture_of(model_type: str) -> Architecture:
    """The table entry of a `model.config.model_type`; raises UsageError for an unknown one."""
    if model_type not in ARCHITECTURES:
        raise UsageError(
            f"models of type {model_type!r} are not known; known: "
            f"{', '.join(sorted(ARCHITECTURES))}. To add it, describe its modules as "
            f"Architecture({model_type!r}, layers=..., attention_out=..., mlp_down=...) in "
            "tools/subject/architectures.py (or pass one to `register`); the self-test at load "
            "says whether it fits"
        )
    return ARCHITECTURES[model_type]


@dataclass(frozen=True)
class Layer:
    """The modules of one layer that are read or edited."""

    whole: nn.Module
    attention_out: nn.Module
    attention_write: nn.Module
    mlp: nn.Module
    mlp_norm: nn.Module | None
    mlp_rows: tuple[nn.Module, ...]
    activation: nn.Module
    mlp_down: nn.Module
    mlp_write: nn.Module


class PostNorms(NamedTuple):
    """The norms of one layer of an encoder; see `EncoderParts`."""

    attention: nn.Module
    mlp: nn.Module


@dataclass(frozen=True)
class ModelModules:
    """A model's modules, found along its architecture's paths.

    Attributes:
        post_norms: of each layer of an encoder; none in a decoder.
        output: the final norm and the unembedding of a decoder.
    """

    layers: tuple[Layer, ...]
    post_norms: tuple[PostNorms, ...]
    output: tuple[nn.Module, nn.Module] | None

    @property
    def final_norm(self) -> nn.Module:
        """The norm before the unembedding; raises UsageError in an encoder."""
        return self._require_output()[0]

    @property
    def unembed(self) -> nn.Module:
        """The unembedding; raises UsageError in an encoder."""
        return self._require_output()[1]

    def _require_output(self) -> tuple[nn.Module, nn.Module]:
        if self.output is None:
            raise UsageError(encoder_message("this model", "logits"))
        return self.output


def encoder_message(name: str, what: str) -> str:
    """Why an encoder cannot do what a decoder can, and what to do."""
    return (
        f"{name} is an encoder, which reads text in both directions and predicts no next token: for {what} "
        "give a decoder, such as smollm2-135m. An encoder has activations (hubel tool "
        "activations.on_text, activations.search, compare), attention and studies of representations"
    )


def find_modules(model: nn.Module, architecture: Architecture) -> ModelModules:
    """Find the modules of a model; raises UsageError naming a path that leads nowhere."""

    def find(root: nn.Module, path: str) -> nn.Module:
        try:
            return attrgetter(path)(root)
        except AttributeError as error:
            raise UsageError(
                f"a {architecture.model_type!r} model has no module {path!r} ({error}); "
                "correct its entry in tools/subject/architectures.py"
            ) from error

    layers = tuple(
        Layer(
            whole=layer,
            attention_out=find(layer, architecture.attention_out),
            attention_write=find(layer, architecture.attention_write),
            mlp=find(layer, architecture.mlp),
            mlp_norm=attrgetter(architecture.mlp_norm)(layer)
            if hasattr(layer, architecture.mlp_norm)
            else None,
            mlp_rows=tuple(find(layer, path) for path in architecture.mlp_rows),
            activation=find(layer, architecture.activation),
            mlp_down=find(layer, architecture.mlp_down),
            mlp_write=find(layer, architecture.mlp_write),
        )
        for layer in cast("nn.ModuleList", find(model, architecture.layers))
    )
    if encoder := architecture.encoder:
        norms = tuple(
            PostNorms(
                find(layer.whole, encoder.attention_norm), find(layer.whole, encoder.mlp_norm)
            )
            for layer in layers
        )
        return ModelModules(layers, norms, None)
    unembed: nn.Module = cast(Any, model).get_output_embeddings()
    return ModelModules(layers, (), (find(model, architecture.final_norm), unembed))


def parameter(module: nn.Module, name: str = "weight") -> Tensor:
    """A module's parameter; of a module that a device map put on disk, read from its file."""
    held = cast("Tensor", getattr(module, name))
    return cast(Any, module)._hf_hook.weights_map[name] if held.is_meta else held


def device_of(weight: Tensor) -> torch.device:
    """Where a weight is when it is used; one on disk is read into main memory."""
    import torch

    return torch.device("cpu") if weight.is_meta else weight.device


def columns_of(projection: nn.Module) -> int:
    """How many numbers a projection takes, without reading its weight."""
    shape = cast("Tensor", projection.weight).shape
    return shape[0] if type(projection).__name__ == "Conv1D" else shape[1]


def matrix(projection: nn.Module) -> Float[Tensor, "out in"]:
    """A projection's weight, as in y = matrix @ x; GPT-2's Conv1D stores it transposed."""
    weight = parameter(projection)
    return weight.T if type(projection).__name__ == "Conv1D" else weight


def norm_scale(norm: nn.Module, kind: NormKind) -> Float[Tensor, " d_model"]:
    """The factor that a norm applies to each coordinate after normalising."""
    weight = parameter(norm)
    return weight + 1 if kind == "rms_plus_one" else weight


def neurons_of(config: Any) -> int:
    """MLP neurons per layer, from a configuration alone."""
    if getattr(config, "model_type", None) == "gpt2":
        return config.n_inner or 4 * config.n_embd
    if getattr(config, "model_type", None) == "distilbert":
        return config.hidden_dim
    return config.intermediate_size


def first_tensor(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    """A module's hidden states, whether or not it returns more than them."""
    import torch

    return output if isinstance(output, torch.Tensor) else output[0]
