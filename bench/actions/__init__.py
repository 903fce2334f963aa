"""The actions of `hubel bench`, one file each: what each takes, and the tables that it prints."""
