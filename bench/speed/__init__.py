"""`hubel bench speed`: how long things take, measured so that anyone can repeat it.

Here: the parts of the bench, one file each, and what they share. A part is a function that takes a
`SpeedBench` and yields rows; a new one needs its own file and a line in `parts`.

    parts       the parts by name
    rows        what a part yields
    speed_bench the subject, the index and the processes that parts work with
    ratios      each thing compared with the naive way, in one process
"""
