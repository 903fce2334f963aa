"""How a subject changes: over training, over time, and where an answer goes wrong."""
