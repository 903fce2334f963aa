"""The files of other tools, one module for each format: `matches`, `read`, and `write` where there is one."""
