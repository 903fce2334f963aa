"""The command line: `main` finds the command, `commands/` holds one file for each.

Here: options, tables and exit statuses. Not here: work that a program could want without a
terminal.
"""
