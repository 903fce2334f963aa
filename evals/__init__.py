"""What an explanation is worth: scorers, floors, intervals and verdicts.

Here: pure functions of predictions, activations and a judge's answers. Not here: the run log, a
language-model client (a judge is passed in as a one-method protocol), HTML.
"""
