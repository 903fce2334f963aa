"""Who decides what to try next: the loop, the explainers, the run log and the front doors.

Each folder is one noun of the method; nothing lives beside them. Numerical methods belong to
`tools` and `evals`.
"""
