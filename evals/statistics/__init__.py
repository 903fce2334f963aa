"""The statistics that scores and verdicts rest on: correlation, bootstrap, permutation, false
discoveries, agreement.

Here: functions of arrays. Not here: anything that knows what an explanation is.
"""
