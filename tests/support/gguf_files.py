"""Writes a tiny random llama as a quantised GGUF file, with the `gguf` package alone."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
from tokenizers import pre_tokenizers

WIDTH, NEURONS, HEADS, LAYERS = 32, 64, 4, 2
WORDS = ("ca", "cat", "do", "dog", "Ġcat", "Ġdog")
MERGES = ("c a", "ca t", "d o", "do g", "Ġ cat", "Ġ dog")


def write_gguf(path: Path, kind: str = "Q8_0", seed: int = 0) -> dict[str, np.ndarray]:
    """Write the file; returns its matrices as they are after quantisation, by GGUF's names."""
    rng = np.random.default_rng(seed)
    tokens = ["<|endoftext|>", "<|end|>", *sorted(pre_tokenizers.ByteLevel.alphabet()), *WORDS]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{kind}"])
    writer.add_context_length(64)
    writer.add_block_count(LAYERS)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(NEURONS)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3] + [1] * (len(tokens) - 2))
    writer.add_token_merges(list(MERGES))
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    shapes = {"token_embd": (len(tokens), WIDTH), "output": (len(tokens), WIDTH)}
    for layer in range(LAYERS):
        of_layer = {f"attn_{name}": (WIDTH, WIDTH) for name in ("q", "k", "v", "output")}
        of_layer |= {"ffn_gate": (NEURONS, WIDTH), "ffn_up": (NEURONS, WIDTH)}
        of_layer |= {"ffn_down": (WIDTH, NEURONS)}
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in of_layer.items()}
    quantised = gguf.GGMLQuantizationType[kind]
    matrices: dict[str, np.ndarray] = {}
    for name, shape in shapes.items():
        codes = gguf.quantize(rng.standard_normal(shape).astype(np.float32) * 0.4, quantised)
        writer.add_tensor(f"{name}.weight", codes, raw_dtype=quantised)
        matrices[name] = gguf.dequantize(codes, quantised)
    norms = ["output_norm", *(f"blk.{i}.{n}_norm" for i in range(LAYERS) for n in ("attn", "ffn"))]
    for name in norms:
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return matrices
