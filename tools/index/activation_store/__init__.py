"""The activation store of an index: for every token, what the activations of all units follow from.

    INDEX/store/explore/  select/  holdout/
        store.json            what it holds, of which subject and text, and the hashes of the shards;
                              written last
        mlp_in-12/00000.bin   the input of the MLP of layer 12, `SHARD_TOKENS` tokens a file
        norm-12/              what the MLP's norm divided by and subtracted (`subject.mlp_input`)
        head-12/              the norms of the heads' outputs
        stream-12/            the residual stream after the layer, where it does not follow from the
                              others
        loss/                 each token's loss, and the entropy of the prediction after it

A row is a token. Contexts come in the order in which the pass reads them (`batch_plan`), so that
files only ever grow, and a killed pass cuts them back to its checkpoint.

    layout      names and the description
    encoding    numbers as bytes
    balance     an MLP's input, made ready for 8 bits
    losses      loss and entropy of each token
    writer      appends rows to shards, and hashes them on the way
    recorder    what a pass hands to the writer
    store       reading rows (needs no torch)
    source      activations of units from rows, as a forward pass would give them
    tokens      the same at single tokens
"""

from __future__ import annotations
