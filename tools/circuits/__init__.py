"""Circuits: prompt pairs, nodes and edges, exact patching, attribution, ablation runs and discovery."""
