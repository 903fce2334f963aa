"""Find a subject by name, load it, and check that its architecture is described correctly.

A name is the embedded `smollm2-135m`, a local folder in Hugging Face's layout, or a model on the
Hugging Face hub. Weights must be safetensors, and code that comes with a model is never run.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ..errors import CorruptError, UnavailableError, UsageError
from ..files import atomic_file, cache_dir, file_sha256
from . import embedded
from .address import Shape, Unit
from .architectures import architecture_of, neurons_of
from .silence_transformers import silence

if TYPE_CHECKING:
    import torch

    from .subject import Directions, Subject

DTYPES = ("float32", "bfloat16", "float16")
_HUB_NAME = re.compile(r"[\w.-]+(?:/[\w.-]+)?")
_SMALL_FILES = ("*.json", "*.model", "*.txt", "*.jinja")


class SubjectFiles(NamedTuple):
    """A subject's folder, its name in reports, and the hash of its weights."""

    folder: Path
    title: str
    revision: str


def load_subject(
    name: str,
    *,
    device: str = "auto",
    dtype: str = "float32",
    revision: str | None = None,
    directions: Path | None = None,
    attention: Literal["sdpa", "eager"] = "sdpa",
    progress: Callable[[str], None] = lambda line: None,
) -> Subject:
    """Load a subject and run its self-test.

    Args:
        device: "auto" (cuda, else mps, else cpu), "cpu", "cuda", "cuda:1", "mps".
        dtype: "float32", "bfloat16" or "float16"; how the weights are held.
        revision: branch, tag or commit on the hub.
        directions: safetensors with one vector per address, such as "resid.8@NAME".
        attention: "eager" if attention patterns are needed.
        progress: called with a line of text when something takes long (a download, a conversion).

    Raises:
        UsageError: unknown name, device, dtype or architecture.
        UnavailableError: the hub or registry cannot be reached, or the disk is full.
        CorruptError: the weights are truncated or damaged.
    """
    from .selftest import self_test
    from .subject import Subject

    # All that can be wrong with the arguments is checked before the model is loaded.
    torch_device = resolve_device(device)
    if dtype not in DTYPES:
        raise UsageError(f"dtype {dtype!r} given; choose {', '.join(DTYPES)}")
    vectors = load_directions(directions) if directions else None
    files = locate(name, revision, progress)
    architecture = architecture_of(_config(files.folder).model_type)
    model, tokenizer = _load(files.folder, dtype, attention)
    model.to(torch_device)
    subject = Subject(
        model,
        tokenizer,
        name=name,
        title=files.title,
        revision=files.revision,
        directions=vectors,
        architecture=architecture,
    )
    self_test(subject)
    return subject


def subject_shape(
    name: str, *, revision: str | None = None, directions: Path | None = None
) -> Shape:
    """How many units a subject has, from its configuration: no weights are fetched or loaded."""
    vectors = load_directions(directions) if directions else {}
    names = {layer: tuple(named) for layer, named in vectors.items()}
    if name == embedded.NAME:
        return replace(embedded.SHAPE, directions=names)
    folder = Path(name) if Path(name).is_dir() else _from_hub(name, revision, _SMALL_FILES)
    config = _config(folder)
    architecture_of(config.model_type)
    return Shape(config.num_hidden_layers, neurons_of(config), config.num_attention_heads, names)


def locate(name: str, revision: str | None, progress: Callable[[str], None]) -> SubjectFiles:
    """Find a subject's folder, fetching it if needed; raises as `load_subject` does."""
    if name == embedded.NAME:
        return SubjectFiles(embedded.embedded_folder(progress), embedded.TITLE, embedded.REVISION)
    if Path(name).is_dir():
        return SubjectFiles(Path(name), Path(name).resolve().name, _weights_hash(Path(name)))
    progress(f"looking for {name} on the Hugging Face hub")
    folder = _from_hub(name, revision, (*_SMALL_FILES, "*.safetensors"))
    return SubjectFiles(folder, name, _weights_hash(folder))


def resolve_device(device: str) -> torch.device:
    """The torch device of a name; raises UsageError if it is unknown or unavailable."""
    import torch

    available = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    types = [name for name, is_available in available.items() if is_available()] + ["cpu"]
    if device == "auto":
        return torch.device(types[0])
    try:
        torch_device = torch.device(device)
    except RuntimeError as error:
        raise UsageError(
            f"device {device!r} given; choose auto, cpu, cuda, cuda:N or mps"
        ) from error
    missing_gpu = (
        torch_device.type == "cuda" and (torch_device.index or 0) >= torch.cuda.device_count()
    )
    if torch_device.type not in types or missing_gpu:
        raise UsageError(f"device {device!r} is not available here; choose {', '.join(types)}")
    return torch_device


def load_directions(path: Path) -> Directions:
    """Read named directions by layer; raises UsageError for an unreadable file or address."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UsageError(
            f"directions {str(path)!r} cannot be read ({error}); expected a safetensors file"
        ) from error
    directions: dict[int, dict[str, Any]] = {}
    for address, vector in tensors.items():
        unit = Unit.parse(address)
        if unit.site != "resid" or not unit.name or unit.side != "both":
            raise UsageError(
                f"{address!r} in {str(path)!r} is not a direction; name each one like resid.8@NAME"
            )
        directions.setdefault(unit.layer, {})[unit.name] = vector
    return directions


def _config(folder: Path) -> Any:
    from transformers import AutoConfig

    try:
        with silence():
            return AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise _unreadable(folder, error) from error


def _load(folder: Path, dtype: str, attention: str) -> tuple[Any, Any]:
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    options: dict[str, Any] = {"dtype": getattr(torch, dtype), "use_safetensors": True}
    if attention == "eager":
        # Otherwise transformers chooses: sdpa, except for families that lack it (Gemma 2).
        options["attn_implementation"] = attention
    try:
        with silence():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, **options)
    except SafetensorError as error:
        raise CorruptError(
            f"the weights in {str(folder)!r} are cut short or damaged ({error}); fetch them again "
            "(for the embedded subject: hubel cache clear)"
        ) from error
    except (OSError, ValueError, KeyError) as error:
        raise _unreadable(folder, error) from error
    if not tokenizer.is_fast:
        raise UsageError(
            f"the tokenizer in {str(folder)!r} gives no character spans; add a tokenizer.json"
        )
    return model, tokenizer


def _unreadable(folder: Path, error: Exception) -> UsageError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return UsageError(
        f"{str(folder)!r} cannot be loaded as a causal language model: {reason}. "
        "Expected config.json, tokenizer.json and *.safetensors"
    )


def _from_hub(name: str, revision: str | None, patterns: tuple[str, ...]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    sources = f"the embedded {embedded.NAME!r}, a local folder, or a model on the Hugging Face hub"
    if not _HUB_NAME.fullmatch(name):
        raise UsageError(f"no subject {name!r}: there is no such folder; expected {sources}")
    try:
        with silence():
            return Path(snapshot_download(name, revision=revision, allow_patterns=list(patterns)))
    except GatedRepoError as error:
        raise UnavailableError(
            f"{name!r} is gated: accept its terms on the hub and set HF_TOKEN"
        ) from error
    except RevisionNotFoundError as error:
        raise UsageError(
            f"{name!r} has no revision {revision!r} on the hub; leave it out or correct it"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UsageError(f"no subject {name!r} on the hub; expected {sources}") from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, OSError) as error:
        raise UnavailableError(
            f"no subject {name!r} here, and the Hugging Face hub cannot be reached: "
            f"check the network, or give {sources}"
        ) from error


def _weights_hash(folder: Path) -> str:
    """First 16 hexadecimal digits of the weights' SHA-256; of several files, of their hashes."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UsageError(
            f"no *.safetensors in {str(folder)!r}; convert the weights (other formats can carry code)"
        )
    hashes = [_cached_hash(path) for path in files]
    whole = hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
    return whole[:16]


def _cached_hash(path: Path) -> str:
    """A file's SHA-256, computed once per state of the file.

    The hub's cache names files by their hash, which then costs nothing.
    """
    target = path.resolve()
    if re.fullmatch(r"[0-9a-f]{64}", target.name):
        return target.name
    state = json.dumps([str(target), target.stat().st_size, target.stat().st_mtime_ns])
    note = cache_dir() / "hashes" / hashlib.sha256(state.encode()).hexdigest()[:32]
    with suppress(OSError):
        return note.read_text(encoding="utf-8")
    value = file_sha256(target)
    with suppress(UnavailableError), atomic_file(note) as part:
        part.write_text(value, encoding="utf-8")
    return value
