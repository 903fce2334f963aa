"""The review page: runs in the browser, where a person reads, doubts and decides.

Here: the HTTP server, its handlers, the derived store that makes 100,000 targets quick, and the
front end (`static/`). Not here: what a run says (`runlog`), scores (`evals`).
"""
