"""What can be done to a subject: load it, read a corpus with it, index its units, intervene on it,
explain by search.

Here: numerical methods and the instruments that expose them. Not here: a language-model client, a
run log, a verdict.
"""
