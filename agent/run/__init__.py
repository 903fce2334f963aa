"""A run from its configuration to its verdicts: check it, make it, execute, resume and replay it.

Here: what concerns all targets of a run together. Not here: what happens to one target
(`investigation`), what is on disk (`runlog`).
"""
