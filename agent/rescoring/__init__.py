"""`hubel eval`: explanations of a finished run, or of anybody's table, scored again by any scorers.

Here: where explanations and activations come from, and the tables and page that show the result.
Not here: the scorers themselves (`evals.scorers`).
"""
