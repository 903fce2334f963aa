"""The scorers, one file each, found by `registry`; what several of them share lies beside them.

A new scorer is one decorated function in a new file here.
"""
