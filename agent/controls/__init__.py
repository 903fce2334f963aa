"""Controls of an index: what the same explainer makes of directions that mean nothing.

Here: explaining a signal without a run, and the controls that all runs of an index share. Not here:
the artificial units themselves (`tools.subject.nulls`), and targets of a run that are nulls or
controls.
"""
