"""Adds the latents of a dictionary to the units of a subject."""

from __future__ import annotations

from dataclasses import replace

from ..errors import UsageError
from .address import DICTIONARY_NAME, DictionaryShape, Site
from .latents import Latents
from .subject import Subject


def attach_latents(subject: Subject, latents: Latents) -> None:
    """Add a dictionary's latents to the units of a subject.

    Raises:
        UsageError: the name is taken or no name, or the dictionary does not fit its place.
    """
    name, shape = latents.name, subject.shape
    if not DICTIONARY_NAME.fullmatch(name) or name in subject.dictionaries:
        raise UsageError(
            f"dictionary name {name!r} given; give another one for each dictionary, of letters, "
            "digits, _ and -, with a letter first"
        )
    widths = {latents.reads: latents.encoder.shape[0], latents.writes: latents.decoder.shape[1]}
    for site, width in widths.items():
        shape.check(site)
        if (has := vector_width(subject, site)) != width:
            raise UsageError(
                f"the dictionary {name!r} is of vectors of {width} numbers, and {site} of "
                f"{subject.name} has {has}; `hubel dictionary check` says which place would fit"
            )
    subject.dictionaries = {
        **subject.dictionaries,
        name: latents.to(subject.site_device(latents.reads)),
    }
    of_name = DictionaryShape(latents.reads, latents.writes, latents.n_latents)
    subject.shape = replace(shape, dictionaries={**shape.dictionaries, name: of_name})


def vector_width(subject: Subject, site: Site) -> int:
    """How many numbers the raw vectors of a site have."""
    if site.kind == "mlp":
        return subject.shape.count(site)
    return subject.head_dim * subject.shape.n_heads if site.kind == "z" else subject.d_model
