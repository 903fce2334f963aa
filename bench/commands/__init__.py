"""The commands `hubel bench` and `hubel loopback`: their options and their tables."""
