"""Benches: how right, how fast and how robust hubel is, measured against known answers.

Here: everything that only `hubel bench` and `hubel loopback` reach, the loopback server of language
models among it. Not here: anything that another command needs.
"""
