"""The page's modules and styles as one script and one sheet, for a report that is a single file.

The modules are written so that this needs no parser: imports are `import { a, b as c } from
"./x.js";`, `export` is followed by a function, a class or a constant, and there are no import cycles
(`tests/agent/review/test_inline_assets.py`).

1. Put each module after the modules that it imports.
2. Make its body that of a function that returns the module's exports; an import becomes a
   destructuring assignment.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

ENTRY = "app.js"
STYLES = ("tokens.css", "page.css", "figures.css", "views.css")

_IMPORT = re.compile(r'^import \{([^}]*)\} from "(\.[^"]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let) (\w+))", re.MULTILINE)


def bundle(static: Path) -> str:
    """All modules that the page needs, as one classic script.

    Raises:
        ValueError: modules import each other in a cycle, or the text of one would end a `<script>` element.
    """
    ordered: dict[PurePosixPath, None] = {}
    _place(static, PurePosixPath(ENTRY), [], ordered)
    script = "\n".join(
        ['"use strict";', "(() => {", *(_wrapped(static, name) for name in ordered), "})();"]
    )
    if "</script" in script.lower() or "<!--" in script:
        raise ValueError("a module holds text that would end the script element of a report")
    return script


def styles(static: Path) -> str:
    """All style sheets, in the order in which the page loads them."""
    return "\n".join((static / name).read_text(encoding="utf-8") for name in STYLES)


def _place(
    static: Path, name: PurePosixPath, above: list[PurePosixPath], placed: dict[PurePosixPath, None]
) -> None:
    """Put a module after what it imports; `above` is the chain of modules that led to it."""
    if name in above:
        raise ValueError(
            f"modules import each other in a cycle: {' -> '.join(map(str, [*above, name]))}"
        )
    if name in placed:
        return
    for _, target in _IMPORT.findall((static / name).read_text(encoding="utf-8")):
        _place(static, _resolved(name, target), [*above, name], placed)
    placed[name] = None


def _resolved(name: PurePosixPath, target: str) -> PurePosixPath:
    parts: list[str] = []
    for part in (name.parent / target).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return PurePosixPath(*parts)


def _wrapped(static: Path, name: PurePosixPath) -> str:
    source = (static / name).read_text(encoding="utf-8")
    exported = ", ".join(_EXPORT.findall(source))

    def destructured(match: re.Match[str]) -> str:
        names, module = match[1].replace(" as ", ": "), _variable(_resolved(name, match[2]))
        return f"const {{{names}}} = {module};\n"

    body = _EXPORT.sub("", _IMPORT.sub(destructured, source))
    return f"const {_variable(name)} = (() => {{\n{body}\nreturn {{ {exported} }};\n}})();"


def _variable(name: PurePosixPath) -> str:
    return "$" + re.sub(r"\W", "_", str(name.with_suffix("")))
