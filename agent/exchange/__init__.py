"""Exchange with other tools: what a run says, in and out of the files that they read and write.

`records` is what every format is read into and written from, `formats/` has one file for each format,
and `imported` is a set of other people's explanations as it lies among the runs.
"""
