"""What a reader sees is true: Python blocks run, commands and options exist, links lead somewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech import errors
from edgespeech.demo.live import screenshot
from edgespeech.demo.reference_page import render_page
from edgespeech.runtime import audio
from edgespeech.runtime.bundle import DEFAULT_BUNDLE
from edgespeech.runtime.manifest import SAMPLE_CLIPS, Utterance, read_manifest, write_manifest
from tests.docs import documents
from tests.docs.documents import DOCS, ROOT, name, pages
from tests.test_packaging import repository_files

COMMAND_LINE = DOCS / "reference" / "command-line.md"
# A history keeps names as they were; the page of commands is compared with --help itself.
PRESENT = [page for page in pages() if page.parent != DOCS / "log" and page != COMMAND_LINE]
# Options of other programs.
FOREIGN = {"--create-home", "--no-deps", "--nproc-per-node"}
OUR_FOLDERS = "runtime|reference|export|quantization|demo|tests|src|docs|models"
PATH = re.compile(rf"(?:{OUR_FOLDERS})/[\w./-]*\w/?|[\w-]+\.(?:md|toml)")


def test_pages_are_found() -> None:
    assert len(pages()) > 20
    assert {"README.md", "docs/index.md", "docs/architecture.md"} <= set(map(name, pages()))


def prepare_folder(folder: Path) -> None:
    """Lay out what the examples mention: a recording, a manifest, a language model, a bundle, a checkpoint."""
    clips = read_manifest(SAMPLE_CLIPS)
    soundfile.write(folder / "talk.wav", audio.read(clips[-1].path), 16000)
    write_manifest(folder / "dev.jsonl", [Utterance("talk.wav", folder / "talk.wav", clips[-1].text)])
    shutil.copyfile(DEFAULT_BUNDLE / "lm.bin", folder / "lm.bin")
    (folder / "bundle").symlink_to(DEFAULT_BUNDLE)
    (folder / "model.pt").symlink_to(ROOT / "models" / "edge.pt")


def pages_with(mark: str) -> list[Path]:
    """Pages that have a Python block with this mark."""
    return [page for page in pages() if any(b.language == "python" and b.mark == mark for b in documents.blocks(page))]


def run_python_blocks(page: Path, folder: Path, skipped: set[str]) -> None:
    """Run the blocks of a page in one namespace, except for those with a skipped mark, which must compile."""
    prepare_folder(folder)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in documents.blocks(page):
        if block.language == "python":
            # Line breaks in front, so that a traceback names the line of the page.
            code = compile("\n" * block.line + block.text, str(page), "exec")
            if block.mark not in skipped:
                exec(code, namespace)


@pytest.mark.parametrize("page", pages_with(""), ids=name)
def test_python_blocks_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run_python_blocks(page, tmp_path, {"not run", "slow"})
    if page == ROOT / "README.md":
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith("twenty") and any(line.startswith("final ") for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("page", pages_with("slow"), ids=name)
def test_slow_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_python_blocks(page, tmp_path, {"not run"})


@pytest.mark.parametrize("page", PRESENT, ids=name)
def test_shell_lines_parse(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # outputs that exist are refused
    wrong = []
    for line, number in documents.shell_lines(page):
        for arguments in documents.commands(line):
            try:
                command, context, rest = documents.find_command(arguments)
                if not set(rest) & {"--help", "-h"}:
                    command.make_context(context.info_name, rest, parent=context.parent)
            except click.ClickException as error:
                wrong.append(f"{name(page)}:{number}: {line}: {error.format_message()}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", PRESENT, ids=name)
def test_inline_commands_and_options_exist(page: Path) -> None:
    wrong = []
    for code, number in documents.inline_code(page):
        if code.startswith("--") and not set(re.findall(r"--[a-z][\w-]*", code)) <= documents.all_options() | FOREIGN:
            wrong.append(f"{name(page)}:{number}: {code}")
        for arguments in documents.commands(code):
            try:
                command, context, rest = documents.find_command(arguments)
                command.make_parser(context).parse_args(list(rest))
            except click.BadOptionUsage:
                continue  # an option without its value, as prose names it
            except click.ClickException as error:
                wrong.append(f"{name(page)}:{number}: {code}: {error.format_message()}")
    assert not wrong, "\n".join(wrong)


def test_mentioned_make_targets_exist() -> None:
    files = [ROOT / "Makefile", *ROOT.glob("reference/recipes/*.mk")]
    targets = {one for file in files for one in re.findall(r"^([\w-]+):", file.read_text("utf-8"), re.MULTILINE)}
    wrong = []
    for page in PRESENT:
        shell = [line.partition("#")[0] for line, _ in documents.shell_lines(page)]
        for text in (*shell, *(code for code, _ in documents.inline_code(page))):
            wrong += [f"{name(page)}: {text}" for one in re.findall(r"^make ([a-z0-9-]+)", text) if one not in targets]
    assert not wrong, "\n".join(wrong)


def test_mentioned_files_exist() -> None:
    wrong = []
    for page in PRESENT:
        for code, number in documents.inline_code(page):
            homes = [ROOT / code, page.parent / code]
            if PATH.fullmatch(code) and "/" in code and not any(home.exists() for home in homes):
                wrong.append(f"{name(page)}:{number}: {code}")
    assert not wrong, "\n".join(wrong)


def test_code_points_to_documents_that_exist() -> None:
    wrong = []
    for path in repository_files():
        if path.suffix in {".py", ".toml", ".mk"} or path.name == "Makefile":
            mentioned = set(re.findall(r"\bdocs/[\w/-]+\.(?:md|svg|png|txt)\b", path.read_text(encoding="utf-8")))
            wrong += [f"{name(path)}: {one}" for one in sorted(mentioned) if not (ROOT / one).exists()]
    assert not wrong, "\n".join(wrong)


def test_the_architecture_names_what_the_files_contain() -> None:
    page, wrong = DOCS / "architecture.md", []
    for token in documents.tokens(page):
        codes = [child.content for child in token.children or [] if child.type == "code_inline"]
        files = [ROOT / code for code in codes if (ROOT / code).is_file()]
        source = "\n".join(file.read_text(encoding="utf-8") for file in files)
        for code in codes:
            identifier = re.fullmatch(r"(?:\w+\.)*([A-Za-z_]\w+)(?:\(\))?", code)
            if files and identifier and not re.search(rf"\b{identifier[1]}\b", source):
                wrong.append(f"{code}: not in {', '.join(map(name, files))}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", pages(), ids=name)
def test_links_and_anchors_lead_somewhere(page: Path) -> None:
    wrong = []
    for target, number in documents.links(page):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        home = (page.parent / path).resolve() if path else page
        inside = DOCS not in page.parents or DOCS in home.parents
        if not home.exists() or not inside:
            wrong.append(f"{name(page)}:{number}: {target}{'' if inside else ' leads out of docs/'}")
        elif anchor and anchor not in documents.anchors(home):
            wrong.append(f"{name(page)}:{number}: {target}: no such heading")
    assert not wrong, "\n".join(wrong)


def test_the_picture_of_the_live_view_can_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["screenshot", str(tmp_path / "live.svg")])
    screenshot.main()
    for picture in (tmp_path / "live.svg", DOCS / "live.svg"):
        text = picture.read_text(encoding="utf-8")
        assert "sample&#160;clips" in text and "latency" in text
        assert "@font-face" not in text and text.count("http") == 1  # the name space; nothing is loaded


def test_the_page_of_commands_is_up_to_date() -> None:
    assert COMMAND_LINE.read_text(encoding="utf-8") == render_page(), "run make docs"


@pytest.mark.parametrize(
    "package", ["edgespeech", "edgespeech.export", "edgespeech.quantization", "edgespeech.reference"]
)
def test_every_public_name_is_in_the_reference(package: str) -> None:
    page = (DOCS / "reference" / "api" / f"{package.rpartition('.')[2]}.md").read_text(encoding="utf-8")
    module = import_module(package)
    public = {one for one in module.__all__ if not one.startswith("__") and not hasattr(errors, one)}
    assert public - set(re.findall(rf"^::: {re.escape(package)}\.(\w+)$", page, re.MULTILINE)) == set()


@pytest.mark.slow
def test_the_site_builds_without_warnings(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    run = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    page = (tmp_path / "site" / "reference" / "api" / "edgespeech.html").read_text(encoding="utf-8")
    assert "Recognizer" in page and "sample_rate" in page
