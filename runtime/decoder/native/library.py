"""Loads the compiled search and declares its functions; `search_kind` tells which search runs, and why."""

from __future__ import annotations

import os
import sys
from ctypes import CDLL, c_char_p, c_double, c_int32, c_int64, c_void_p, cast, py_object, pythonapi
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from edgespeech.errors import UsageError

# As in setup.py; none of the suffixes is that of an extension module.
FILE = Path(__file__).with_name("_search" + {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so.1"))
VARIABLE = "EDGESPEECH_SEARCH"
_VERSION = 6  # that of c_api.cpp

_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "version": (c_int32, []),
    "use_capsules": (None, [c_void_p]),
    "sort_words": (c_int64, [c_void_p, c_void_p, c_void_p, c_void_p, c_void_p]),
    "open_lm": (c_void_p, [c_void_p]),
    "open_search": (c_void_p, [c_void_p, c_void_p]),
    "begin": (c_void_p, [c_void_p]),
    "step": (c_int32, [c_void_p, c_void_p, c_void_p, c_double, c_void_p]),
    "finish": (c_int32, [c_void_p, c_void_p, c_int64, c_void_p]),
    "free_result": (None, [c_void_p]),
    "sizes": (None, [c_void_p, c_void_p]),
}


class Library(CDLL):
    """The compiled search; ``new_capsule`` is Python's PyCapsule_New."""

    new_capsule: Any


class SearchKind(NamedTuple):
    """The search that decoders use, and why it is not the native one."""

    name: Literal["native", "numpy"]
    reason: str = ""


def search_kind(wanted: str | None = None) -> SearchKind:
    """Return which search decoders use if their language model allows it.

    Args:
        wanted: ``native`` or ``numpy``; None takes the environment variable EDGESPEECH_SEARCH, and without it the
            native search where it was compiled.

    Raises:
        UsageError: The native search is wanted and cannot be loaded, or the name is unknown.
    """
    name = wanted or os.environ.get(VARIABLE) or "any"
    if name not in ("native", "numpy", "any"):
        raise UsageError(f"{VARIABLE} is {name!r}; wanted native or numpy")
    problem = _load()[1]
    if name == "numpy":
        return SearchKind("numpy", "chosen" if wanted else f"chosen by {VARIABLE}")
    if problem and name == "native":
        raise UsageError(f"the native search {problem}; wanted one that can be loaded, or search set to numpy")
    return SearchKind("numpy", f"the native search {problem}") if problem else SearchKind("native")


def is_allowed() -> bool:
    """Return whether compiled code can be loaded, and EDGESPEECH_SEARCH does not exclude it."""
    return os.environ.get(VARIABLE) != "numpy" and _load()[0] is not None


def library() -> Library:
    """Return the library; each call of its functions releases the interpreter's lock."""
    loaded, problem = _load()
    if loaded is None:
        raise UsageError(f"the native search {problem}")
    return loaded


def owned(pointer: int, destructor: str) -> object:
    """Return an object whose end frees what the library made, with the function of the library of this name.

    A method ``__del__`` would lose what the handler of a signal raises in it, for example KeyboardInterrupt: Python
    only prints such exceptions. A capsule's destructor runs no Python code, so that the handler waits until it is over.
    """
    loaded = library()
    capsule: object = loaded.new_capsule(pointer, None, cast(loaded[f"edgespeech_{destructor}"], c_void_p))
    return capsule


@cache
def _load() -> tuple[Library | None, str]:
    """Return the library, or why there is none."""
    if sys.byteorder != "little":
        return None, "needs a little-endian processor"
    again = "install edgespeech again with a C++ compiler"
    if not FILE.exists():
        return None, f"was not compiled; {again}"
    try:
        loaded = Library(str(FILE))
        version = loaded.edgespeech_version()
        new_capsule, pointer_of = pythonapi["PyCapsule_New"], pythonapi["PyCapsule_GetPointer"]
    except (OSError, AttributeError) as error:
        return None, f"cannot be loaded ({error}); {again}"
    if version != _VERSION:
        return None, f"was compiled from other sources ({version} instead of {_VERSION}); {again}"
    for name, (result, arguments) in _FUNCTIONS.items():
        function = loaded[f"edgespeech_{name}"]
        function.restype, function.argtypes = result, arguments
        setattr(loaded, f"edgespeech_{name}", function)
    new_capsule.restype, new_capsule.argtypes = py_object, [c_void_p, c_char_p, c_void_p]
    loaded.new_capsule = new_capsule
    loaded.edgespeech_use_capsules(cast(pointer_of, c_void_p))
    return loaded, ""
