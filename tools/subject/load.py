"""Find a subject by name, load it, and check that its architecture is described correctly.

A name is the embedded `smollm2-135m` or `minilm` (an encoder), a local folder in Hugging Face's
layout, a GGUF file, or a model on the Hugging Face hub. Weights must be safetensors or GGUF, and code
that comes with a model is never run.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ..errors import UsageError
from ..files.regular_file import check_regular
from ..files.stored_tensors import StoredTensor, read_stored_tensors
from . import embedded
from .address import Shape, Unit
from .architectures import Architecture, architecture_of, encoder_message, neurons_of
from .folder import check_folder
from .locate import subject_folder, subject_title, weights_sha256
from .model_config import read_config
from .passed_tests import SelfTestConditions
from .placement import DevicePlacement, describe_map, placement
from .quantised_folder import is_dequantisable
from .tokenizer import load_tokenizer
from .weights import load_model, wrapper_note

if TYPE_CHECKING:
    from .subject import Directions, Subject

DTYPES = ("float32", "bfloat16", "float16")


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
    """Load a subject and run its self-test, unless it has passed before (see `passed_tests`).

    Args:
        device: "auto" (cuda, else mps, else cpu), "cpu", "cuda", "cuda:1", "mps"; "map:auto" and
            others spread the layers over devices (`placement`).
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
    with _collections_paused():
        # All that can be wrong with the arguments is checked before the model is loaded.
        place = placement(device)
        if dtype not in DTYPES:
            raise UsageError(f"dtype {dtype!r} given; choose {', '.join(DTYPES)}")
        vectors = load_directions(directions) if directions else None
        folder = subject_folder(name, revision, progress)
        files = _read_small_files(folder)
        for note in files.notes:
            progress(note)
        subject = _load_weights(name, folder, files, place, dtype, attention, vectors)
        subject.row_parts.say = progress
        if spread := describe_map(subject.model):
            progress(f"{name} is spread over devices: {spread}")
        return subject


class _SmallFiles(NamedTuple):
    """What can be told from a folder without reading its weights, and lines about it."""

    config: Any
    architecture: Architecture
    stored: dict[str, StoredTensor]
    tokenizer: Any
    notes: list[str]


def _read_small_files(folder: Path) -> _SmallFiles:
    check_folder(folder)
    config, notes = read_config(folder)
    architecture = architecture_of(config.model_type)
    stored = read_stored_tensors(folder)
    tokenizer, more_notes = load_tokenizer(folder, config)
    wrappers = wrapper_note(stored)
    all_notes = [*notes, *more_notes, *([wrappers] if wrappers else [])]
    return _SmallFiles(config, architecture, stored, tokenizer, all_notes)


def _load_weights(
    name: str,
    folder: Path,
    files: _SmallFiles,
    place: DevicePlacement,
    dtype: str,
    attention: str,
    directions: Directions | None,
) -> Subject:
    """The subject, tested now or, under the same conditions, before."""
    from .encoder import Encoder
    from .selftest import self_test
    from .subject import Subject

    origin = embedded.EMBEDDED.get(name)
    if origin:
        embedded.check_hashes(folder)
    weights = weights_sha256(folder)
    test = SelfTestConditions.of(folder, weights, files.architecture, dtype, place, attention)
    passed = test.passed_before()
    model = load_model(
        folder,
        files.config,
        files.stored,
        files.architecture,
        dtype=dtype,
        attention=attention,
        checked_before=passed,
        place=place.options(),
    )
    if place.device_map is None:
        model.to(place.device)
    kind = Encoder if files.architecture.encoder else Subject
    subject = kind(
        model,
        files.tokenizer,
        name=name,
        title=subject_title(name, folder),
        revision=origin.revision if origin else weights[:16],
        directions=directions,
        architecture=files.architecture,
    )
    if not passed:
        self_test(subject)
        test.note_passed()
    subject.test_conditions = test
    return subject


@contextmanager
def _collections_paused() -> Iterator[None]:
    """No garbage collections in the block.

    Importing torch and transformers makes a million objects that stay, and each full collection on
    the way looks at all of them again: 0.7 of 4 CPU-seconds.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def subject_shape(
    name: str, *, revision: str | None = None, directions: Path | None = None
) -> Shape:
    """How many units a subject has, from its configuration: no weights are fetched or loaded."""
    vectors = load_directions(directions) if directions else {}
    names = {layer: tuple(named) for layer, named in vectors.items()}
    if name in embedded.EMBEDDED:
        return replace(embedded.EMBEDDED[name].shape, directions=names)
    config = _read_config_alone(name, revision)
    return Shape(config.num_hidden_layers, neurons_of(config), config.num_attention_heads, names)


def require_decoder(name: str, what: str) -> None:
    """Check that a subject exists and is a decoder; no weights are fetched or loaded.

    Args:
        what: what needs a decoder, for the message.

    Raises:
        UsageError: there is no such subject, or it is an encoder.
        UnavailableError: the hub cannot be reached.
    """
    if name in embedded.EMBEDDED:
        model_type = embedded.EMBEDDED[name].model_type
    else:
        model_type = _read_config_alone(name).model_type
    if architecture_of(model_type).encoder:
        raise UsageError(encoder_message(repr(name), what))


def _read_config_alone(name: str, revision: str | None = None) -> Any:
    folder = subject_folder(name, revision, weights=False)
    check_folder(folder)
    return read_config(folder, quantised=is_dequantisable(folder)).config


def subject_width(name: str) -> int:
    """d_model of a subject, from its configuration: no weights are fetched or loaded."""
    if name in embedded.EMBEDDED:
        return embedded.EMBEDDED[name].width
    return _read_config_alone(name).hidden_size


def subject_revision(name: str) -> str:
    """The revision that a subject has when it is loaded, from the hashes of its files.

    Raises:
        UsageError: there is no such subject.
        UnavailableError: it cannot be fetched.
    """
    if name in embedded.EMBEDDED:
        return embedded.EMBEDDED[name].revision
    return weights_sha256(subject_folder(name, None))[:16]


def load_directions(path: Path) -> Directions:
    """Read named directions by layer; raises UsageError for an unreadable file or address."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        check_regular(path)
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
