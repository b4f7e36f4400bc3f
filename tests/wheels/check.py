"""Check wheels for Linux: their tags, their size, and what the compiled search in them needs.

Run: python -m tests.wheels.check WHEEL...
"""

from __future__ import annotations

import re
import sys
import tempfile
import zipfile
from pathlib import Path

from tests.wheels.library import Needs, beyond_baseline, binutils, read_needs

LIBRARY = "edgespeech/runtime/decoder/native/_search.so.1"
LARGEST_LIBRARY = 1_000_000  # bytes
# Parts of glibc, which were libraries of their own until 2.34, and of musl under both of its names.
GLIBC = re.compile(r"(?:libc|libm|ld-linux-x86-64|ld-linux-aarch64)\.so\.\d|lib(?:pthread|dl|rt)\.so\.\d")
MUSL = re.compile(r"libc\.so|libc\.musl-\w+\.so\.1")
WITH_COMPILER = re.compile(GLIBC.pattern + r"|libstdc\+\+\.so\.6|libgcc_s\.so\.1")
ALIASES = {"1": "2_5", "2010": "2_12", "2014": "2_17"}  # of manylinux


def check_wheel(wheel: Path) -> str:
    """Return a description of a wheel.

    Raises:
        ValueError: The wheel serves one Python only, has no search or more than one library, or needs something that
            its tag does not promise.
    """
    tags = re.fullmatch(r"edgespeech-[^-]+-([^-]+-[^-]+)-([^-]+)\.whl", wheel.name)
    if tags is None or tags[1] != "py3-none":
        raise ValueError(f"{wheel.name} is tagged for some Pythons; wanted py3-none")
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as folder:
        libraries = [one for one in archive.namelist() if re.search(r"\.(?:so|dylib|dll|pyd)\b", one)]
        if libraries != [LIBRARY]:
            raise ValueError(f"{wheel.name} has the libraries {libraries}; wanted {LIBRARY} alone")
        library = Path(archive.extract(LIBRARY, folder))
        needs, size = read_needs(library), library.stat().st_size
        _check_needs(needs, tags[2])
        if size > LARGEST_LIBRARY:
            raise ValueError(f"{LIBRARY} has {size} bytes; wanted at most {LARGEST_LIBRARY}")
        instructions = "not checked, no binutils"
        if binutils(needs.machine):
            if beyond := beyond_baseline(library, needs.machine):
                raise ValueError(f"{wheel.name} has instructions beyond the baseline: {'; '.join(beyond[:9])}")
            instructions = "those of the baseline"
    return (
        f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB\n"
        f"  the compiled search: {size / 1e3:.0f} kB, {needs}; instructions: {instructions}"
    )


def _check_needs(needs: Needs, platforms: str) -> None:
    for platform in platforms.split("."):
        tag = re.fullmatch(r"(many|musl)?linux_?([0-9]+(?:_[0-9]+)?)?_(x86_64|aarch64)", platform)
        if tag is None or tag[3] != needs.machine:
            raise ValueError(f"the tag {platform} does not name the machine {needs.machine}")
        allowed = {"many": GLIBC, "musl": MUSL, None: WITH_COMPILER}[tag[1]]
        if others := [name for name in needs.libraries if not allowed.fullmatch(name)]:
            raise ValueError(f"{platform} does not promise {', '.join(sorted(others))}")
        if tag[1] == "musl" and needs.versions:
            raise ValueError(f"{platform}: musl's symbols have no versions; found {needs.versions}")
        if tag[1] == "many":
            promised = tuple(map(int, ALIASES.get(tag[2], tag[2]).split("_")))
            if set(needs.versions) != {"GLIBC"} or needs.versions["GLIBC"] > promised:
                raise ValueError(f"{platform} does not promise the symbols of {needs}")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(check_wheel(Path(argument)))
