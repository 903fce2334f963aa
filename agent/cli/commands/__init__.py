"""The commands, one file each, except those of the benches.

A command's module has

    NAME = "index"                                  # as typed
    HELP = "one line for `hubel --help`"            # equal to `agent.cli.main.COMMANDS`; a test compares
    def add_arguments(parser: argparse.ArgumentParser) -> None
    def run(args: argparse.Namespace) -> int        # the exit status (`exit_status.py`); raises HubelError for the rest
    INTERRUPTED = "..."                             # optional: the line after Ctrl-C

`args` always has `json`, `quiet`, `debug` and `runs` (a Path); a command that loads a subject calls
`options.add_device(parser)` for `device` and `dtype`. Heavy modules (torch, transformers, langgraph,
numpy) are imported inside `run`, so that `hubel NAME --help` is fast.
"""
