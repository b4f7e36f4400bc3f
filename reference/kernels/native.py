"""Compiles the C++ kernels beside this file on first use; without Intel AMX or a compiler, torch does the work."""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from edgespeech.runtime.files import cache_folder
from edgespeech.runtime.storage.durability import sync_tree
from edgespeech.runtime.storage.temporaries import temporary_folder

FLAGS = ("-std=c++17", "-shared", "-fPIC", "-O3", "-march=sapphirerapids", "-mprefer-vector-width=512", "-ffast-math")


@cache
def compiled(name: str) -> ctypes.CDLL | None:
    """Compile ``name``.cpp into the user's cache folder and load it; None if it cannot be compiled or used."""
    if not torch.cpu._is_amx_tile_supported():
        return None
    source = Path(__file__).with_name(f"{name}.cpp")
    content = hashlib.sha256(source.read_bytes() + " ".join(FLAGS).encode()).hexdigest()[:16]
    folder = cache_folder()
    library = folder / f"{name}-{content}.so"
    try:
        if not library.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            with temporary_folder(library) as temporary:
                command = (os.environ.get("CXX", "c++"), *FLAGS, "-o", str(temporary / library.name), str(source))
                subprocess.run(command, check=True, capture_output=True)
                sync_tree(temporary)
                (temporary / library.name).replace(library)
        return ctypes.CDLL(str(library))
    except (OSError, subprocess.CalledProcessError):
        return None


def address(tensor: Tensor) -> ctypes.c_void_p:
    """Return the address of a contiguous tensor's data; the caller must keep the tensor alive while it is used."""
    return ctypes.c_void_p(tensor.data_ptr())
