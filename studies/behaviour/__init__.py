"""What a subject does, and what changes it."""
