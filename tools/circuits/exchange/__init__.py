"""Circuits in the files of other programs; `circuit_file` reads either kind."""
