"""Watching a subject over time: what units do on each text, and alarms when that drifts.

- drift: the sequential test, on numbers alone.
- channels: what is tested of each text.
- baseline: what the channels were when all was well.
- reader: the subject on a text, or while it writes one.
"""
