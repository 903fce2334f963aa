from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubel.tools import subject as public
from hubel.tools.errors import UsageError
from hubel.tools.subject.address import DictionaryShape, Shape, Site, Unit, parse_targets
from tests.support.processes import checkout_environment

SHAPE = Shape(n_layers=4, n_neurons=32, n_heads=3, directions={2: ("truth", "tense-2")})

sides = st.sampled_from(["both", "+", "-"])
names = st.from_regex(r"[A-Za-z0-9_.:/@-]{0,8}[A-Za-z0-9_]", fullmatch=True).filter(
    lambda name: name[0] != "-"
)
numbered = st.builds(
    Unit,
    st.sampled_from(["mlp", "head"]),
    st.integers(0, 200),
    st.integers(0, 99999),
    st.just(""),
    sides,
)
directions = st.builds(
    lambda layer, name, side: Unit("resid", layer, name=name, side=side),
    st.integers(0, 200),
    names,
    sides,
)


@given(st.one_of(numbered, directions))
def test_a_printed_address_reads_back(unit: Unit) -> None:
    assert Unit.parse(str(unit)) == unit


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("mlp.12.803", Unit("mlp", 12, 803)),
        ("mlp.12.803-", Unit("mlp", 12, 803, side="-")),
        (" head.5.3+ ", Unit("head", 5, 3, side="+")),
        ("resid.8@NAME", Unit("resid", 8, name="NAME")),
        ("resid.8", Unit("resid", 8)),
        ("resid.8@a-b-", Unit("resid", 8, name="a-b", side="-")),
    ],
)
def test_an_address_parses_to_its_unit(text: str, unit: Unit) -> None:
    assert Unit.parse(text) == unit


@pytest.mark.parametrize(
    "text",
    ["", "mlp", "mlp.3", "mlp.x.1", "mlp.3.1~2", "attn.1.2", "mlp.-1.2", "resid.8@", "mlp.1.2--"],
)
def test_invalid_addresses_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="valid are mlp"):
        Unit.parse(text)


RES = DictionaryShape(Site("stream", 2), Site("stream", 2), 50)
WITH_LATENTS = replace(SHAPE, dictionaries={"res-12": RES, "mlp": replace(RES, n_latents=8)})


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("sae.res-12.4", ["sae.res-12.4"]),
        ("sae.res-12.4-", ["sae.res-12.4-"]),
        ("sae.res-12.4-6+", ["sae.res-12.4+", "sae.res-12.5+", "sae.res-12.6+"]),
        ("sae.mlp", [f"sae.mlp.{i}" for i in range(8)]),
        ("sae.mlp.*", [f"sae.mlp.{i}" for i in range(8)]),
        ("sae.mlp.0,mlp.1.0", ["sae.mlp.0", "mlp.1.0"]),
    ],
)
def test_latents_are_units_of_their_dictionary(spec: str, expected: list[str]) -> None:
    units = parse_targets(spec, WITH_LATENTS)
    assert [str(unit) for unit in units] == expected
    assert [Unit.parse(text) for text in expected] == units
    latent = units[0]
    assert (latent.place, WITH_LATENTS.layer_of(latent)) == (Site.of_dictionary(latent.name), 2)
    assert WITH_LATENTS.unit(latent.place, latent.index) == latent.unsided
    assert WITH_LATENTS.raw(latent.place) == Site("stream", 2)


def test_samples_of_a_dictionary_are_drawn_like_those_of_a_layer() -> None:
    drawn = sorted(np.random.default_rng(7).choice(50, 5, replace=False).tolist())
    assert [u.index for u in parse_targets("sae.res-12~5@7", WITH_LATENTS)] == drawn


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("sae.other.4", "no such dictionary; known: sae.res-12, sae.mlp"),
        ("sae.other", "no such dictionary"),
        ("sae.other~2", "no such dictionary"),
        ("sae.mlp.8", "the dictionary 'mlp' has latents 0 to 7"),
        ("sae.mlp.5-3", "write sae.mlp.3-5"),
        ("sae.mlp~9", "asks for 9 of 8 units"),
        ("sae.1x.3", "is not a unit"),
        ("sae.a.b.3", "is not a unit"),
    ],
)
def test_wrong_latents_are_refused(spec: str, says: str) -> None:
    with pytest.raises(UsageError, match=re.escape(says)):
        parse_targets(spec, WITH_LATENTS)


def test_sides_of_a_signal() -> None:
    raw = np.array([-2.0, 0.0, 3.0])
    unit = Unit.parse("mlp.1.2")
    assert unit.signal(raw) is raw
    assert Unit.parse("mlp.1.2+").signal(raw).tolist() == [0, 0, 3]
    assert Unit.parse("mlp.1.2-").signal(raw).tolist() == [2, 0, 0]
    assert Unit.parse("mlp.1.2-").unsided == unit
    assert [Unit.parse(t).stated_side for t in ("mlp.1.2", "mlp.1.2-", "head.1.2")] == [
        "both",
        "-",
        "+",
    ]


def addresses(spec: str, shape: Shape = SHAPE) -> list[str]:
    return [str(unit) for unit in parse_targets(spec, shape)]


def test_ranges_sides_and_duplicates() -> None:
    assert addresses("mlp.1.2-4, head.0.1,mlp.1.3,mlp.1.3-") == [
        "mlp.1.2", "mlp.1.3", "mlp.1.4", "head.0.1", "mlp.1.3-",
    ]  # fmt: skip
    assert addresses("mlp.1.2-3-") == ["mlp.1.2-", "mlp.1.3-"]
    assert addresses("head.3") == addresses("head.3.*") == ["head.3.0", "head.3.1", "head.3.2"]
    assert addresses("resid.2") == ["resid.2@truth", "resid.2@tense-2"] == addresses("resid.*")
    assert len(parse_targets("mlp.*", SHAPE)) == 4 * 32


def test_a_sample_is_the_documented_draw() -> None:
    expected = sorted(np.random.default_rng(7).choice(32, 5, replace=False))
    assert [unit.index for unit in parse_targets("mlp.1~5@7", SHAPE)] == expected
    flat = sorted(np.random.default_rng(7).choice(4 * 32, 9, replace=False))
    assert [(unit.layer, unit.index) for unit in parse_targets("mlp.*~9@7", SHAPE)] == [
        divmod(int(n), 32) for n in flat
    ]
    assert addresses("mlp.1~5@7-") == [f"{address}-" for address in addresses("mlp.1~5@7")]


def test_samples_where_layers_differ_in_width() -> None:
    shape = Shape(3, (4, 6, 5), 1)
    assert addresses("mlp.*", shape) == [
        f"mlp.{layer}.{i}" for layer, n in enumerate((4, 6, 5)) for i in range(n)
    ]
    assert addresses("mlp.1.5", shape) == ["mlp.1.5"]
    with pytest.raises(UsageError, match="units 0 to 3"):
        parse_targets("mlp.0.4", shape)


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        ("mlp.4.0", "layers 0 to 3"),
        ("mlp.4~2", "layers 0 to 3"),
        ("mlp.3.32", "units 0 to 31"),
        ("mlp.3.30-32", "units 0 to 31"),
        ("mlp.3.9-2", "backwards"),
        ("head.0.3", "head units 0 to 2"),
        ("mlp.1~33", "33 of 32"),
        ("mlp.1~0", "0 of 32"),
        ("resid.1@truth", "resid.2@truth"),
        ("resid.2", ""),
        ("resid.1", "no units"),
        ("nonsense", "'nonsense'"),
        (" , ", "no targets"),
        ("mlp.1.2,mlp.1.x", "'mlp.1.x'"),
    ],
)
def test_wrong_targets_say_what_is_right(spec: str, what: str) -> None:
    if not what:
        assert parse_targets(spec, SHAPE)
        return
    with pytest.raises(UsageError) as error:
        parse_targets(spec, SHAPE)
    assert what in str(error.value)


def test_targets_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "targets.txt"
    path.write_text("# the first few\nmlp.0.1, mlp.0.2\n\nhead.1.0  # a head\n")
    assert addresses(f"mlp.3.3,{path}") == ["mlp.3.3", "mlp.0.1", "mlp.0.2", "head.1.0"]
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"the text is UTF-16; .* a file of targets holds"):
        parse_targets(str(path), SHAPE)


@given(st.sampled_from(["mlp", "head"]), st.integers(0, 3), st.data())
def test_columns_and_units_are_inverse(kind: str, layer: int, data: st.DataObject) -> None:
    site = Site(kind, layer)  # pyright: ignore[reportArgumentType]
    column = data.draw(st.integers(0, SHAPE.count(site) - 1))
    assert SHAPE.column(SHAPE.unit(site, column)) == column


def test_every_public_name_is_there() -> None:
    assert all(getattr(public, name) is not None for name in public.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = public.nonsense


def test_addresses_need_no_torch() -> None:
    program = "import sys, hubel.tools.subject.address, hubel.tools.subject; sys.exit('torch' in sys.modules)"
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, env=checkout_environment(), check=False).returncode == 0
