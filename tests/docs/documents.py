"""The documents as data: their code blocks, shell lines, inline code, links and headings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import click
from markdown_it import MarkdownIt
from markdown_it.token import Token

from edgespeech.demo.cli import cli

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
SHELL = {"", "sh", "bash", "shell", "console"}
MARK = re.compile(r"<!-- (not run|slow): (.+?) -->")
PROGRAM = "edgespeech"
END_OF_COMMAND = {"|", "||", "&&", ";", ">", ">>", "<", "2>", "&"}


@dataclass(frozen=True)
class Block:
    """A code block of a page.

    Attributes:
        language: Name behind the fence; empty for indented blocks.
        text: Its lines.
        line: Line of the page, from 1.
        mark: ``not run`` or ``slow`` from the comment above it, which also has the reason; usually empty.
    """

    language: str
    text: str
    line: int
    mark: str = ""


def pages() -> list[Path]:
    """Every document for readers, the README first."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@cache
def tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))


def blocks(page: Path) -> Iterator[Block]:
    mark = ""
    for token in tokens(page):
        if token.type in {"fence", "code_block"}:
            language = (token.info.split() or [""])[0]
            yield Block(language, token.content, (token.map or [0])[0] + 1, mark)
        found = MARK.match(token.content) if token.type == "html_block" else None
        mark = found[1] if found else ""


def inline(page: Path) -> Iterator[tuple[Token, int]]:
    """Tokens inside paragraphs, headings and table cells, each with its line."""
    line = 0
    for token in tokens(page):
        line = token.map[0] + 1 if token.map else line
        for child in token.children or []:
            yield child, line


def inline_code(page: Path) -> Iterator[tuple[str, int]]:
    return ((" ".join(token.content.split()), line) for token, line in inline(page) if token.type == "code_inline")


def links(page: Path) -> Iterator[tuple[str, int]]:
    """Targets of links and images."""
    for token, line in inline(page):
        target = token.attrGet("href") if token.type == "link_open" else token.attrGet("src")
        if target is not None and token.type in {"link_open", "image"}:
            yield str(target), line


@cache
def anchors(page: Path) -> set[str]:
    """Anchors of the headings, as mkdocs and GitHub make them."""
    found = set()
    for heading, content in zip(tokens(page), tokens(page)[1:], strict=False):
        if heading.type == "heading_open":
            text = "".join(child.content for child in content.children or [])
            found.add(re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", text).strip().lower()))
    return found


def shell_lines(page: Path) -> Iterator[tuple[str, int]]:
    """Lines of shell blocks, continued ones joined."""
    for block in blocks(page):
        if block.language in SHELL:
            text, line = "", block.line
            for number, part in enumerate(block.text.splitlines(), block.line):
                line = line if text else number
                text += part.strip()
                if text.endswith("\\"):
                    text = text[:-1]
                    continue
                yield text, line
                text = ""


def commands(line: str) -> Iterator[list[str]]:
    """Arguments of every call of edgespeech in a shell line."""
    if PROGRAM not in line:
        return
    lexer = shlex.shlex(re.sub(r"\$\([^()]*\)", "SUBSTITUTED", line), posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split, lexer.commenters = True, "#"
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word not in END_OF_COMMAND:
            words.append(word)
            continue
        places = [index for index, one in enumerate(words) if one.rpartition("/")[2].rpartition("=")[2] == PROGRAM]
        calls = [index for index in places if all(is_prefix(one) for one in words[:index])]
        if calls:
            yield words[calls[-1] + 1 :]
        words = []


def is_prefix(word: str) -> bool:
    """Whether a word may stand before the program: ``sudo -u USER env NAME=VALUE edgespeech``."""
    return word in {"sudo", "-u", "env", PROGRAM} or "=" in word


def find_command(arguments: list[str]) -> tuple[click.Command, click.Context, list[str]]:
    """Return the command that the first arguments name, its context and the arguments left.

    Raises:
        click.UsageError: The command does not exist.
    """
    command: click.Command = cli
    rest = list(arguments)
    context = click.Context(cli, info_name=PROGRAM, **cli.context_settings)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        inner = command.get_command(context, rest[0])
        if inner is None:
            raise click.UsageError(f"no command {rest[0]!r}")
        context = click.Context(inner, parent=context, info_name=rest.pop(0))
        command = inner
    return command, context, rest


@cache
def all_options() -> frozenset[str]:
    """Every option of every command."""

    def below(command: click.Command) -> Iterator[str]:
        for parameter in command.params:
            yield from (*parameter.opts, *parameter.secondary_opts)
        if isinstance(command, click.Group):
            context = click.Context(command, **cli.context_settings)
            for one in command.list_commands(context):
                inner = command.get_command(context, one)
                if inner is not None:
                    yield from below(inner)

    return frozenset({"--help", "-h", *below(cli)})
