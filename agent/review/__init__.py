"""The review page: runs in the browser, where a person reads, doubts and decides.

A request goes `serve` -> `guard` -> `server` -> `get_handlers` or `post_handlers` -> the module of one
page or operation -> `run_catalog` and `store`, or the log itself.

Here: the HTTP server, its handlers, the derived store that makes 100,000 targets quick, and the
front end (`static/`). Not here: what a run is on disk (`runlog`), scores (`evals`).
"""
