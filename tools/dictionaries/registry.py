"""Names of released dictionaries: SAELens' registry file, where that package is installed, and a short list.

`gpt2-small-res-jb/blocks.8.hook_resid_pre` is a release of the registry and an id in it. SAELens is
not imported for this; its file `pretrained_saes.yaml` is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import CorruptError, UsageError

REGISTRY_FILE = "pretrained_saes.yaml"
READ_FORMS = {
    None: "SAELens",
    "gemma_2": "Gemma Scope",
    "gemma_2_transcoder": "Gemma Scope",
    "dictionary_learning_1": "dictionary_learning",
    "sparsify": "sparsify",
    "mwhanna_transcoder": "circuit-tracer",
    "mntss_clt_layer_transcoder": "circuit-tracer",
}
"""SAELens' names of loaders to the formats here that read the same files."""
_RELEASE = re.compile(r"^([\w.\-]+):[ \t]*$", re.MULTILINE)
_MAX_SHOWN = 6


class ReleasedDictionary(NamedTuple):
    """Where a released dictionary is.

    Attributes:
        path: a folder or file in the repository; "" for all of it.
        overrides: settings that replace those of its configuration.
        scale: factor of the input that its weights expect; 1 where they are folded.
    """

    repository: str
    path: str
    overrides: Mapping[str, Any]
    scale: float = 1.0


class Release(NamedTuple):
    """Dictionaries of one model that were published together."""

    name: str
    model: str
    form: str
    places: str = ""


POPULAR = (
    Release("EleutherAI/sae-SmolLM2-135M-64x", "SmolLM2-135M", "sparsify", "layers.N.mlp"),
    Release("EleutherAI/sae-SmolLM2-1.7B-layer17-32x", "SmolLM2-1.7B", "sparsify", "layers.17"),
    Release(
        "jbloom/GPT2-Small-SAEs-Reformatted", "gpt2-small", "SAELens", "blocks.N.hook_resid_pre"
    ),
    Release("google/gemma-scope-2b-pt-res", "gemma-2-2b", "Gemma Scope", "layer_N/width_16k/..."),
    Release(
        "google/gemma-scope-2b-pt-transcoders", "gemma-2-2b", "Gemma Scope", "layer_N/width_16k/..."
    ),
    Release("google/gemma-scope-9b-pt-res", "gemma-2-9b", "Gemma Scope", "layer_N/width_16k/..."),
    Release(
        "mwhanna/qwen3-0.6b-transcoders-lowl0",
        "qwen3-0.6b",
        "circuit-tracer",
        "layer_N.safetensors",
    ),
    Release("mwhanna/qwen3-4b-transcoders", "qwen3-4b", "circuit-tracer", "layer_N.safetensors"),
    Release(
        "ctigges/pythia-70m-deduped__res-sm_processed", "pythia-70m-deduped", "SAELens", "N-res-sm"
    ),
)
"""Known without the registry; the names are from it, and those of SmolLM2 from projects that use them."""
_SUFFIXES = re.compile(r"-(instruct|it|pt|base)$")
_ALIASES = {"gpt2": "gpt2-small"}


def registry_path() -> Path | None:
    """SAELens' registry file; None if the package is not installed."""
    spec = find_spec("sae_lens")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).with_name(REGISTRY_FILE)
    return path if path.is_file() else None


def find_release(name: str, path: Path) -> ReleasedDictionary | None:
    """The dictionary `RELEASE/ID` of a registry file; None if it has no such release.

    Raises:
        UsageError: the release has no such id, or its files are of a form that is not read.
        CorruptError: the file is not a registry.
    """
    release, _, identifier = name.partition("/")
    entry = _entry(release, path)
    if entry is None:
        return None
    form = entry.get("conversion_func")
    if form not in READ_FORMS:
        raise UsageError(
            f"the dictionaries of {release!r} are in SAELens' form {form!r}, which is not read; read are "
            f"{', '.join(sorted(set(READ_FORMS.values())))}"
        )
    by_id = {str(each["id"]): each for each in entry["saes"]}
    if identifier not in by_id:
        shown = ", ".join(list(by_id)[:_MAX_SHOWN])
        more = f" and {len(by_id) - _MAX_SHOWN} more" if len(by_id) > _MAX_SHOWN else ""
        raise UsageError(f"{release!r} has no dictionary {identifier!r}; it has {shown}{more}")
    found = by_id[identifier]
    target = str(found["path"])
    if form == "mntss_clt_layer_transcoder":
        target = f"W_enc_{target}.safetensors"
    scale = float(found.get("norm_scaling_factor") or 1.0)
    return ReleasedDictionary(entry["repo_id"], target, entry.get("config_overrides") or {}, scale)


def releases_for(model: str, path: Path | None) -> Iterator[Release]:
    """Releases made for a model of this name or for the base model that it was tuned from."""
    wanted = model_key(model)
    yield from (release for release in POPULAR if model_key(release.model) == wanted)
    if path is None:
        return
    for name, block in _blocks(path):
        stated = re.search(r"^  model: *['\"]?([^\s'\"]+)", block, re.MULTILINE)
        if stated is None or model_key(stated[1]) != wanted:
            continue
        form = re.search(r"^  conversion_func: *(\w+)", block, re.MULTILINE)
        loader = form[1] if form and form[1] != "null" else None
        if loader in READ_FORMS:
            yield Release(name, stated[1], READ_FORMS[loader])


def model_key(name: str) -> str:
    """A model's name without its owner, in small letters, and without -instruct and the like."""
    key = _SUFFIXES.sub("", name.rsplit("/", 1)[-1].lower())
    return _ALIASES.get(key, key)


def _entry(release: str, path: Path) -> dict[str, Any] | None:
    """A release's entry."""
    import yaml

    for name, block in _blocks(path):
        if name != release:
            continue
        try:
            entry = yaml.safe_load(block)[name]
            if not isinstance(entry["repo_id"], str) or not isinstance(entry["saes"], list):
                raise TypeError("no repo_id or list of saes")
        except (yaml.YAMLError, KeyError, TypeError) as error:
            first = str(error).splitlines()[0]
            raise CorruptError(
                f"the entry {release!r} of {str(path)!r} is not SAELens' ({first}); install sae-lens again"
            ) from error
        return entry
    return None


def _blocks(path: Path) -> Iterator[tuple[str, str]]:
    """Each release with its lines; the whole file is too long to parse for one of them."""
    text = path.read_text(encoding="utf-8")
    heads = list(_RELEASE.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    for head, end in zip(heads, ends, strict=True):
        yield head[1], text[head.start() : end]
