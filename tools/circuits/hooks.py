"""Forward hooks that are removed together: read or replace what enters and leaves modules."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from torch import Tensor, nn

from ..subject.architectures import first_tensor


class Hooks:
    """Hooks that are taken away together, whatever happens; each gets a value and may give another in its place."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def on_input(self, module: nn.Module, visit: Any) -> None:
        """Call `visit(value)` with what enters the module."""

        def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            new = visit(args[0] if args else kwargs["hidden_states"])
            if new is None:
                return None
            return ((new, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": new})

        self._stack.callback(module.register_forward_pre_hook(hook, with_kwargs=True).remove)

    def on_call(self, module: nn.Module, read: Any) -> None:
        """Call `read(module, args, kwargs)` before the module runs."""
        self._stack.callback(module.register_forward_pre_hook(read, with_kwargs=True).remove)

    def on_output(self, module: nn.Module, visit: Any) -> None:
        """Call `visit(value)` with what the module puts out."""

        def hook(_module: nn.Module, _args: Any, output: Any) -> Any:
            new = visit(first_tensor(output))
            if new is None:
                return None
            return new if isinstance(output, Tensor) else (new, *output[1:])

        self._stack.callback(module.register_forward_hook(hook).remove)

    def on_forward(self, module: nn.Module, visit: Any) -> None:
        """Call `visit(module, entered, left)` with what went in and came out; what it gives comes out instead."""

        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            return visit(module, args[0], output)

        self._stack.callback(module.register_forward_hook(hook).remove)


class StopForward(Exception):
    """Raised in a visitor when the rest of the pass is of no use: it ends the block of `hooks`, and nothing else."""


@contextmanager
def temporary_hooks() -> Iterator[Hooks]:
    """A set of hooks, gone at the end of the block."""
    with suppress(StopForward), ExitStack() as stack:
        yield Hooks(stack)
