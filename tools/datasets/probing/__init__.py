"""Ten probing tasks in the manner of SentEval, generated: label and balance hold by construction.

Conneau et al., "What you can cram into a single $&!#* vector" (ACL 2018). Theirs are sentences of
books whose labels a parser gave; these are made by a grammar that knows the label. What else could
tell a label (length, words) is the same in all classes wherever the task allows.
"""
