"""`hubel bench explanations`: how good are explanations, and how good would they be of nothing?

measure    collects, explains and scores neurons, heads and rotated directions
figures    what is measured of one explanation on held-out text
summary    means over targets: the table
"""
