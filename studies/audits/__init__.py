"""Bias, fairness and deception, and what causes them in a subject."""
