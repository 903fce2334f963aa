"""Which units follow a target: all units of an index ranked by how well they follow a predicate,
a pattern or a list of words.

    target      what is looked for, as a number for each token of explore
    comparison  r and AUROC of all units of a site with it
    instrument  `units.matching`
"""

from __future__ import annotations
