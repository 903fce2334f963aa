"""Docstring completion (Heimersheim & Janiak 2023): a docstring documents parameters in order."""

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
    """Clean: def f(self, a, b, c, d, e), then :param a, :param b, :param -> c.

    The signature of the twin has other names in place of a, b and c.
    """
    a, b, c, d, e, *others = draw.sample(PARAMETERS, 8)
    first_note, second_note = draw.sample(NOTES, 2)
    # `last` marks the parameter that was documented last.
    template = (
        f"def {draw.choice(FUNCTIONS)}(self, {{p1}}, {{p2}}, {{p3}}, {{p4}}, {{p5}}):\n"
        f'    """{draw.choice(TITLES)}\n\n'
        f"    :param {a}: {first_note}\n"
        f"    :param {{last}}: {second_note}\n"
        "    :param"
    )
    slots = {"p1": a, "p2": b, "p3": c, "p4": d, "p5": e, "last": b}
    # The twin still documents a and b. Its signature does not have them, so the subject cannot look
    # up which parameter comes next.
    changed = {"p1": others[0], "p2": others[1], "p3": others[2]}
    return twin_prompts(
        template,
        slots,
        changed,
        [f" {c}"],
        [f" {d}", f" {e}", f" {others[2]}"],
        [f" {name}" for name in (a, b, c, d, e, *others)],
    )
