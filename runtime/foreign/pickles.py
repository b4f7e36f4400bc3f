"""The outline of a pickle, read from its instructions: nothing is imported, called or created but plain containers."""

from __future__ import annotations

import io
import pickletools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

MAX_BYTES = 2 << 20  # of the pickle; the arrays of tensors are elsewhere

_MARK: Final = object()
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_SET": list, "EMPTY_TUPLE": tuple}
_PUT = {"PUT", "BINPUT", "LONG_BINPUT"}
_GET = {"GET", "BINGET", "LONG_BINGET"}


@dataclass
class Instance:
    """An object that loading the pickle would create by calling ``name``; its items and state as far as they are known.

    ``name`` is that of a class or a function, with its module.
    """

    name: str
    items: dict[str, Any] = field(default_factory=dict)
    state: Any = None


@dataclass(frozen=True)
class _Global:
    name: str


def read_outline(data: bytes) -> Any:
    """Return the object that a pickle describes, of plain values, containers and `Instance`.

    Only keys that are text are kept. A damaged or cut pickle gives the part before the damage, or None.
    """
    machine = _Machine()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in damaged texts
            _follow(machine, data)
    except (ArithmeticError, LookupError, ValueError, TypeError, AttributeError, RecursionError):
        pass  # the rest is damaged or of a kind that the machine does not know
    return machine.result()


def _follow(machine: _Machine, data: bytes) -> None:
    for instruction, argument, _ in pickletools.genops(io.BytesIO(data)):
        if instruction.name == "STOP":
            return
        machine.run(instruction.name, argument)


def instances(value: Any) -> Iterator[Instance]:
    """Yield the objects in an outline, each once."""
    seen: set[int] = set()
    queue = [value]
    while queue:
        one = queue.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, Instance):
            yield one
            queue += [one.state, *one.items.values()]
        elif isinstance(one, dict):
            queue += one.values()
        elif isinstance(one, (list, tuple)):
            queue += one


class _Machine:
    """The stack and the memo of the unpickler, with stand-ins for all objects."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def result(self) -> Any:
        """Return the first object on the stack, with the items of containers that were not finished."""
        items: list[Any] = []
        while len(self._stack) > 1:
            top = self._stack.pop()
            if top is _MARK:
                _add(self._stack[-1], items[::-1])
                items = []
            else:
                items.append(top)
        return self._stack[0] if self._stack else None

    def run(self, name: str, argument: Any) -> None:
        """Follow one instruction of the pickle."""
        if name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            self._stack.append(_EMPTY[name]())
        elif name == "MARK":
            self._stack.append(_MARK)
        elif name in _PUT:
            self._memo[int(argument)] = self._stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = self._stack[-1]
        elif name in _GET:
            self._stack.append(self._memo[int(argument)])
        elif name == "DUP":
            self._stack.append(self._stack[-1])
        elif name == "POP":
            self._stack.pop()
        elif name == "POP_MARK":
            self._pop_to_mark()
        elif hasattr(self, f"_{name.lower()}"):
            getattr(self, f"_{name.lower()}")(argument)
        elif argument is not None and name not in {"PROTO", "FRAME"}:
            self._stack.append(argument)  # a number, a text or bytes

    def _pop_to_mark(self) -> list[Any]:
        items: list[Any] = []
        while (top := self._stack.pop()) is not _MARK:
            items.append(top)
        return items[::-1]

    def _pop(self, count: int) -> list[Any]:
        if count > len(self._stack):
            raise IndexError(count)
        items = self._stack[len(self._stack) - count :]
        del self._stack[len(self._stack) - count :]
        return items

    def _dict(self, _: Any) -> None:
        items = self._pop_to_mark()
        self._stack.append({})
        _add(self._stack[-1], items)

    def _list(self, _: Any) -> None:
        self._stack.append(self._pop_to_mark())

    def _tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._pop_to_mark()))

    _frozenset = _tuple

    def _tuple1(self, _: Any) -> None:
        self._stack.append(tuple(self._pop(1)))

    def _tuple2(self, _: Any) -> None:
        self._stack.append(tuple(self._pop(2)))

    def _tuple3(self, _: Any) -> None:
        self._stack.append(tuple(self._pop(3)))

    def _setitem(self, _: Any) -> None:
        _add(self._stack[-3], self._pop(2))

    def _append(self, _: Any) -> None:
        _add(self._stack[-2], self._pop(1))

    def _setitems(self, _: Any) -> None:
        items = self._pop_to_mark()
        _add(self._stack[-1], items)

    _appends = _additems = _setitems

    def _global(self, argument: str) -> None:
        self._stack.append(_Global(argument.replace(" ", ".")))

    def _stack_global(self, _: Any) -> None:
        self._stack.append(_Global(".".join(map(str, self._pop(2)))))

    def _reduce(self, _: Any) -> None:
        called, _arguments = self._pop(2)
        self._stack.append(Instance(called.name))

    _newobj = _reduce

    def _newobj_ex(self, _: Any) -> None:
        called, _arguments, _keywords = self._pop(3)
        self._stack.append(Instance(called.name))

    def _inst(self, argument: str) -> None:
        self._pop_to_mark()
        self._stack.append(Instance(argument.replace(" ", ".")))

    def _obj(self, _: Any) -> None:
        called, *_arguments = self._pop_to_mark()
        self._stack.append(Instance(called.name))

    def _build(self, _: Any) -> None:
        (state,) = self._pop(1)
        if isinstance(self._stack[-1], Instance):
            self._stack[-1].state = state

    def _persid(self, _: Any) -> None:
        self._stack.append(Instance("storage"))

    def _binpersid(self, _: Any) -> None:
        (identity,) = self._pop(1)
        # torch's legacy format stores a class together with its source text.
        is_class = isinstance(identity, tuple) and identity[:1] == ("module",) and len(identity) > 1
        self._stack.append(identity[1] if is_class else Instance("storage"))


def _add(container: Any, items: list[Any]) -> None:
    if isinstance(container, list):
        container += items
    elif isinstance(container, (dict, Instance)):
        target = container if isinstance(container, dict) else container.items
        target.update({key: value for key, value in zip(items[::2], items[1::2], strict=False) if isinstance(key, str)})
