"""An index made in parts by several processes or machines, and merged to the same bytes.

    shard            which part: `Shard(3, 16)`, printed as 3/16
    build_shard      computes a part
    shard_folder     its files, and what they say of where they come from
    parts            the parts of one index, held against each other
    merge            the parts become an index; loads neither torch nor the subject

Every batch of a split belongs to one shard. What a batch gives does not depend on the others, and
what the merge does with it not on who computed it:

1. Counts add up. Sums of floating-point numbers depend on the order in which they are added, so a
   shard keeps those of each batch, and the merge adds them in the order of the batches, as one
   process does.
2. Extremes and best contexts are functions of the set of contexts.
3. Pool, sample and the activation store have a place for each number.
4. A dictionary's events are put in order before anything is computed from them.
"""

from __future__ import annotations
