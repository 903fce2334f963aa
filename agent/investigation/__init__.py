"""How one target is investigated: `loop` is the plan on one page, then one file for each step.

Here: the steps observe, experiment, select, verify and conclude; the context that they share; and
how an explainer is driven (`drivers`). Not here: explainers (`explainers`), how a run is made,
resumed or replayed (`run`), scorers and the rule for verdicts (`evals`).
"""
