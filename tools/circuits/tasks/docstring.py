"""Docstring completion (Heimersheim & Janiak 2023): parameters are documented in the order in which they are given."""

from __future__ import annotations

from .task import Draw, Example, task, twin_prompts, words

PARAMETERS = words(
    "load size files last file image path data name key value node index count text line page table color style "
    "width height start end time date user code group state"
)
FUNCTIONS = words("port add send read build parse")
TITLES = ("oil column piece", "first step here", "main part of it", "simple test case")
NOTES = words("crime unit song power paper record light sound")


@task("docstring", "the parameter that is documented next")
def docstring(draw: Draw) -> Example:
    """Clean: def f(self, a, b, c, d, e), then :param a, :param b, :param -> c; the twin's signature has other names."""
    a, b, c, d, e, *others = draw.sample(PARAMETERS, 8)
    one, two = draw.sample(NOTES, 2)
    template = (
        f"def {draw.choice(FUNCTIONS)}(self, {{p1}}, {{p2}}, {{p3}}, {{p4}}, {{p5}}):\n"
        f'    """{draw.choice(TITLES)}\n\n    :param {a}: {one}\n    :param {{last}}: {two}\n    :param'
    )
    slots = {"p1": a, "p2": b, "p3": c, "p4": d, "p5": e, "last": b}
    changed = {"p1": others[0], "p2": others[1], "p3": others[2]}
    # The twin documents the same names, which its signature does not have, so that order cannot be
    # looked up.
    return twin_prompts(
        template,
        slots,
        changed,
        [f" {c}"],
        [f" {d}", f" {e}", f" {others[2]}"],
        [f" {w}" for w in (a, b, c, d, e, *others)],
    )
