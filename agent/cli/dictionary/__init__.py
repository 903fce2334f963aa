"""The actions of `hubel dictionary`."""
