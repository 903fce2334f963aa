"""The actions of `hubel bench`, one file each: options, progress, and the tables it prints."""
