"""Runs of studies: a folder like that of any other run, with its log, resumable and replayable."""
