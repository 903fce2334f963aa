"""File handling: atomic writes, the cache, downloads from the Python package registry, JSON values, free memory."""
