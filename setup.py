"""The compiled search, an optional part of the package; everything else is in pyproject.toml.

It is a plain library that Python calls through ctypes. It needs none of Python's headers, and one wheel serves every
Python of a platform. Without a compiler the installation succeeds, and the search in numpy runs.
"""

import os
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

FOLDER = Path("runtime/decoder/native")
# None of these is the suffix of an extension module, so nothing tries to import the library.
SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so.1")
# Scores are the same on every processor: no multiplication is fused with an addition.
UNIX = ["-std=c++17", "-O3", "-g0", "-ffp-contract=off", "-fvisibility=hidden", "-fvisibility-inlines-hidden"]
# /MT: Python comes with the library of C, but not with that of C++.
WINDOWS = ["/std:c++17", "/O2", "/MT", "/EHsc", "/fp:precise", "/utf-8"]


class BuildLibrary(build_ext):
    """Builds a plain library instead of an extension module."""

    def build_extension(self, ext: Extension) -> None:
        """Compile with the flags of the compiler that was found."""
        ext.extra_compile_args = WINDOWS if self.compiler.compiler_type == "msvc" else UNIX
        super().build_extension(ext)

    def get_ext_filename(self, fullname: str) -> str:
        """Leave out the version of Python."""
        return os.path.join(*fullname.split(".")) + SUFFIX

    def get_export_symbols(self, ext: Extension) -> list[str]:
        """Export what the sources declare as exported, and no function for an import."""
        return list(ext.export_symbols)


class BuildWheel(bdist_wheel):
    """Tags the wheel for a platform and every Python 3."""

    def get_tag(self) -> tuple[str, str, str]:
        """Replace the version of Python."""
        return "py3", "none", super().get_tag()[2]


setup(
    ext_modules=[
        Extension(
            "edgespeech.runtime.decoder.native._search",
            sources=sorted(path.as_posix() for path in FOLDER.glob("*.cpp")),
            depends=sorted(path.as_posix() for path in FOLDER.glob("*.hpp")),
            language="c++",
            optional=True,
        )
    ],
    cmdclass={"build_ext": BuildLibrary, "bdist_wheel": BuildWheel},
)
