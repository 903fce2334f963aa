"""Judges: their protocol, how they are asked, and judges that need no network."""
