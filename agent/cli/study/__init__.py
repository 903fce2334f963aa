"""Parts of `hubel study`: options from a study's signature, and its tables."""
