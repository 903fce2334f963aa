"""The commands, one file each.

A command's module has

    NAME = "index"                                  # as typed
    HELP = "one line for `hubel --help`"            # the same words as in `agent.cli.main.COMMANDS`; a test compares
    def add_arguments(parser: argparse.ArgumentParser) -> None
    def run(args: argparse.Namespace) -> int        # the exit status; raises HubelError for the rest
    INTERRUPTED = "..."                             # optional: what to do after Ctrl-C ("hubel resume RUN goes on")

`args` always has `json`, `quiet`, `debug` and `runs` (a Path); a command that loads a subject calls
`options.add_device(parser)` for `device` and `dtype`. Heavy imports (torch, transformers,
langgraph, numpy) stand inside `run`, so that `hubel NAME --help` answers at once.
"""
