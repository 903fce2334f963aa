"""The derived store of a run: one SQLite file that the page sorts, filters and searches, filled from the log."""
