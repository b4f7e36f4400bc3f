"""The words of the project: the field's own terms, in code and documents alike."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_packaging import repository_files

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("src", "runtime", "reference", "export", "quantization", "demo")
MIN_DOCSTRING_WORDS = 5
MAX_DOCSTRING_SHARE = 0.16  # of the non-blank lines

FORBIDDEN = {
    r"\bhear(s|d|ing)?\b": "read, process, recognise",
    r"\bstrangers?\b": "unseen speakers",
    r"\bimagin(e|es|ed|ing)\b": "pad the look-ahead with zeros",
    r"\bledger\b": "latency breakdown",
    r"\bleast_\w+": "min_",
    r"\bmost_\w+": "max_",
    r"\b(LEAST|MOST)_[A-Z]+": "MIN_, MAX_",
    r"\bnoise[ _]gate\b": "minimum evidence",
    r"\bmends?\b|\bmended\b": "fix",
    r"\banew\b": "again",
    r"\blikewise\b": "as above, or repeat the noun",
    r"\bso many\b": "N",
    r"\bto be had\b": "available",
    r"\btwice of\b": "twice that",
    r"\b(clips?|bundle) that ships?\b": "sample clips, default bundle",
    r"\bpaid ahead\b|\blends?\b": "LM look-ahead score",
    r"\bremarks?\b": "log, warning, status",
    r"\b(does|do|will) not do\b": "is invalid",
    r"\bis no [a-z]+\b": "is not a",
    r"\b\w+_share\b|\bshare_of\b": "fraction, probability",
    r"\bsay\(|\bsay:": "logging",
}
# Names that users' files and scripts hold; each is read beside its new name.
KEPT = re.compile(
    r"least_confidence|--least-confidence|--noise-gate|--ledger|\"heard\"|\"mend\"|``mend``|\"remark\"|\.most_common\("
    r"|[a-z]+_share = |\"\w+_share\"|--\w+-share"
)
# A history says what was; it is not written again.
HISTORIES = {"CHANGELOG.md", "tests/test_words.py"}


def lines() -> Iterator[tuple[str, str]]:
    """Every line of code, documents and recipes, with its place."""
    for path in repository_files():
        name = path.relative_to(ROOT).as_posix()
        if path.suffix not in {".py", ".md", ".toml"} or name in HISTORIES or name.startswith("docs/log/"):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            yield f"{name}:{number}", line


@pytest.mark.parametrize("phrase", sorted(FORBIDDEN))
def test_the_fields_own_words_are_used(phrase: str) -> None:
    pattern = re.compile(phrase, 0 if "[A-Z]" in phrase else re.IGNORECASE)
    found = [f"{place}: {line.strip()[:90]}" for place, line in lines() if pattern.search(KEPT.sub("", line))]
    assert found == [], f"write instead: {FORBIDDEN[phrase]}"


def docstrings() -> Iterator[tuple[str, str, int]]:
    """Every docstring, with its place and the number of its non-blank lines, quotes included."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                    text = ast.get_docstring(node)
                    if text:
                        first = node.body[0]
                        written = path.read_text(encoding="utf-8").splitlines()[first.lineno - 1 : first.end_lineno]
                        yield f"{path.relative_to(ROOT)}:{first.lineno}", text, sum(1 for one in written if one.strip())


def test_a_docstring_is_a_sentence_that_says_something() -> None:
    short = [f"{place}: {text}" for place, text, _ in docstrings() if len(text.split()) < MIN_DOCSTRING_WORDS]
    fragments = re.compile(r"(Of|For|The same|Likewise|As|With|So|Such|Never|Always)\b")
    hanging = [f"{place}: {text.splitlines()[0]}" for place, text, _ in docstrings() if fragments.match(text)]
    assert short + hanging == []


def test_docstrings_do_not_drown_the_code() -> None:
    written = sum(length for _, _, length in docstrings())
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    total = sum(1 for path in paths for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    assert written / total <= MAX_DOCSTRING_SHARE
