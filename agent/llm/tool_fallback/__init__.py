"""Clients for servers that cannot call tools natively: the same tools behind one, or written out in the text."""
