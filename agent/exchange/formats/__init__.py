"""One file for each format: what it is called, what it can hold, how it is read and written."""
