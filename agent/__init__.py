"""Who decides what to try next: the loop, the explainers, the run log and the front doors.

Each folder is one noun of the method; there are no modules outside them. Numerical methods belong to
`tools` and `evals`.
"""
