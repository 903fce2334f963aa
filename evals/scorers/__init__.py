"""The scorers, one file each, found by `registry`, and what several of them share.

A new scorer is one decorated function in a new file here.
"""
