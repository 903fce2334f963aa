"""What a subject represents, where, and how."""
