"""A subject from a GGUF file, the form of llama.cpp, whose weights are mostly quantised.

1. transformers dequantises the file once; weights, configuration and tokenizer are kept in the cache
   as a model's folder, under the file's hash.
2. What hubel measures is therefore the quantised model, computed in float32. Its title says the
   quantisation, as in "model.Q4_K_M, dequantised from Q4_K_M", and goes with it into every index, run
   and report; its revision is the hash of the dequantised weights, and differs from the original's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..files.remembered import remembered_sha256
from .library_errors import as_usage_error
from .plain_model import made_once, save_plain_model
from .silence_transformers import silence

SUFFIX = ".gguf"
_FORMAT = 1  # increment when the making changes, so that older copies are made again


def is_gguf(name: str) -> bool:
    """Whether a subject's name is that of a GGUF file."""
    try:
        return name.endswith(SUFFIX) and Path(name).is_file()
    except (OSError, ValueError):  # too long for a path, or with a null character
        return False


def gguf_folder(path: Path, progress: Callable[[str], None] = lambda line: None) -> Path:
    """The folder that a GGUF file was made into; made if it is not there yet.

    Raises:
        UsageError: the file cannot be read, or holds a model that transformers cannot take from GGUF.
        UnavailableError: the disk is full.
    """

    def make(part: Path) -> None:
        progress(f"dequantising {path.name} from {quantisation(path)} (once)")
        convert_gguf(path, part)

    return made_once(f"gguf{_FORMAT}-{remembered_sha256(path)[:16]}", make)


def gguf_title(path: Path) -> str:
    """A GGUF subject's name in reports, with its quantisation."""
    return f"{path.stem}, dequantised from {quantisation(path)}"


def quantisation(path: Path) -> str:
    """The quantisation that a file says it has, such as Q4_K_M, or else that of most of its numbers.

    Raises:
        UsageError: the file cannot be read.
    """
    with as_usage_error(f"{str(path)!r} cannot be read as GGUF"):
        import gguf

        reader = gguf.GGUFReader(path)
        field = reader.fields.get("general.file_type")
        if field is not None:
            kind = gguf.LlamaFileType(int(field.parts[field.data[0]][0])).name
            return kind.removeprefix("MOSTLY_").removeprefix("ALL_")
        sizes: Counter[str] = Counter()
        for tensor in reader.tensors:
            sizes[tensor.tensor_type.name] += int(tensor.n_elements)
        if not sizes:
            raise UsageError(f"{str(path)!r} holds no weights; fetch the file again")
        return sizes.most_common(1)[0][0]


def convert_gguf(path: Path, folder: Path) -> None:
    """Write the model of a GGUF file as a plain folder: float32 safetensors and a tokenizer.

    Raises:
        UsageError: the file holds no model that transformers takes from GGUF.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # The GGUF reader draws a progress bar that no switch turns off.
    with (
        as_usage_error(f"{str(path)!r} cannot be loaded from GGUF"),
        silence(),
        redirect_stderr(StringIO()),
    ):
        source: dict[str, Any] = {"gguf_file": path.name, "local_files_only": True}
        AutoTokenizer.from_pretrained(path.parent, **source).save_pretrained(folder)
        model: Any = AutoModelForCausalLM.from_pretrained(
            path.parent, dtype=torch.float32, **source
        )
        # transformers refuses to save a model loaded from a GGUF.
        save_plain_model(model, folder)
