"""The actions of `hubel dictionary`, one file each."""
