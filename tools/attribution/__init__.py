"""Token attribution: which tokens of a prompt make a scalar what it is, with each answer's error and its checks."""
