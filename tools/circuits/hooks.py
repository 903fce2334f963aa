"""Forward hooks that are removed together: read or replace what enters and leaves modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from torch import Tensor, nn

from ..subject.architectures import first_tensor

Visit = Callable[[Tensor], Tensor | None]
"""Gets a value; returns what takes its place, or None to leave it."""


class StopForward(Exception):
    """Raised in a hook when the rest of the pass is not needed; ends the block of `temporary_hooks`."""


@contextmanager
def temporary_hooks() -> Iterator[Hooks]:
    """Hooks that are removed at the end of the block, whatever happens."""
    with suppress(StopForward), ExitStack() as stack:
        yield Hooks(stack)


class Hooks:
    """Hooks of one block."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def on_input(self, module: nn.Module, visit: Visit) -> None:
        """Visit what enters the module."""

        def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            new = visit(args[0] if args else kwargs["hidden_states"])
            if new is None:
                return None
            return ((new, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": new})

        self._stack.callback(module.register_forward_pre_hook(hook, with_kwargs=True).remove)

    def on_call(
        self,
        module: nn.Module,
        read: Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None],
    ) -> None:
        """Call `read(module, args, kwargs)` before the module runs."""
        self._stack.callback(module.register_forward_pre_hook(read, with_kwargs=True).remove)

    def on_output(self, module: nn.Module, visit: Visit) -> None:
        """Visit what the module returns, or the first value of a tuple."""

        def hook(_module: nn.Module, _args: Any, output: Any) -> Any:
            new = visit(first_tensor(output))
            if new is None:
                return None
            return new if isinstance(output, Tensor) else (new, *output[1:])

        self._stack.callback(module.register_forward_hook(hook).remove)

    def on_forward(
        self, module: nn.Module, replace: Callable[[nn.Module, Tensor, Tensor], Tensor]
    ) -> None:
        """Replace what the module returns by `replace(module, input, output)`."""

        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            return replace(module, args[0], output)

        self._stack.callback(module.register_forward_hook(hook).remove)
