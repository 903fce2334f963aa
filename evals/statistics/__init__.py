"""Statistics of scores and verdicts: correlation, bootstrap, permutation, FDR, agreement.

Here: functions of arrays. Not here: anything that knows what an explanation is.

`scipy.stats` has some of these (Wilson, Benjamini-Hochberg, the Pareto fit), but takes a second to
import, and its last digits differ: finished runs replay bit for bit.
"""
