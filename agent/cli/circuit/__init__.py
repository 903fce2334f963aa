"""The actions of `hubel circuit`, one file each, and what other commands do with a circuit run."""
