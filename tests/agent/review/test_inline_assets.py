"""The page's files: modules that can become one script, and no way to write markup or to reach out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from hubel.agent.review import inline_assets as bundling
from hubel.agent.review.inline_assets import bundle, styles
from hubel.agent.runlog.tiers import TIERS
from hubel.evals.tier import Tier

STATIC = Path(bundling.__file__).parent / "static"
MODULES = sorted(STATIC.rglob("*.js"))


def test_bundle_has_every_module_after_its_imports() -> None:
    script = bundle(STATIC)
    places = [
        script.index(
            f"const ${m.relative_to(STATIC).with_suffix('').as_posix().replace('/', '_')} = ("
        )
        for m in MODULES
    ]
    assert len(set(places)) == len(MODULES) > 20
    for use in re.finditer(r"^const \{[^}]*\} = (\$\w+);", script, re.MULTILINE):
        assert script.index(f"const {use[1]} = (") < use.start()


def test_bundle_has_no_module_syntax() -> None:
    assert not re.search(r"^\s*(import|export)\b", bundle(STATIC), re.MULTILINE)


def test_import_cycle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "app.js").write_text('import { b } from "./b.js";\n')
    (tmp_path / "b.js").write_text('import { a } from "./app.js";\nexport const b = 1;\n')
    with pytest.raises(ValueError, match=r"cycle: app\.js -> b\.js -> app\.js"):
        bundle(tmp_path)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_no_module_writes_markup_or_evaluates_text(module: Path) -> None:
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc|javascript:|https?://(?!www\.w3\.org/2000/svg)"
    assert not re.findall(ways, module.read_text(encoding="utf-8"))


def test_styles_fetch_nothing() -> None:
    sheet = styles(STATIC)
    assert "@import" not in sheet
    assert "url(" not in sheet


def test_page_has_no_inline_script_or_style() -> None:
    shell = (STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"\son\w+=|style=|<style|<script(?![^>]*\bsrc=)", shell)
    for name in re.findall(r'"/static/([^"]+)"', shell):
        assert (STATIC / name).is_file()


def test_page_explains_tiers_in_the_words_of_the_code() -> None:
    listed = re.search(r"TIERS = \{\n(.*?)\};", (STATIC / "parts.js").read_text(), re.DOTALL)
    assert listed is not None
    assert dict(re.findall(r'  (\w+): "(.*)",', listed[1])) == TIERS
    assert set(TIERS) == set(get_args(Tier))
