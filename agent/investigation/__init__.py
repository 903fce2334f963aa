"""How one target is investigated: `loop` is the plan on one page, then one file for each step.

Here: observe, experiment, select, verify, conclude, and the context that these steps share. Not
here: explainers (`explainers`), how a run is made, resumed or replayed (`run`), scores and verdicts
(`evals`).
"""
