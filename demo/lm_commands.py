"""The commands of ``edgespeech lm``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgespeech.demo.options import FILE, say


@click.group()
def lm() -> None:
    """Language models: build one from text, look at one."""


@lm.command("build")
@click.argument("texts", type=FILE, nargs=-1, required=True)
@click.option("-o", "--output", type=FILE, required=True, metavar="FILE", help="KenLM binary to write.")
@click.option("--order", type=int, default=3, show_default=True, metavar="N", help="Longest n-gram.")
@click.option(
    "--prune", default="0 0 1", show_default=True, help="Leave out n-grams seen this often or less, per order."
)
@click.option(
    "--vocabulary", type=int, default=50_000, show_default=True, metavar="N", help="Most frequent words to keep."
)
@click.option("--bits", type=int, default=6, show_default=True, help="Per stored probability and back-off weight.")
@click.option("--exclude", type=FILE, multiple=True, metavar="FILE",
              help="Text or manifest whose sentences must not get in (shared runs of six words).")  # fmt: skip
@click.option("--drop-lone-letters", is_flag=True, help="Drop lines with torn abbreviations such as 'h m s'.")
def lm_build(texts: tuple[Path, ...], output: Path, drop_lone_letters: bool, **settings: Any) -> None:
    """Estimate a quantized n-gram model from TEXTS (.txt, .gz, .xz, .bz2, or manifests) with KenLM's tools."""
    from edgespeech.demo.lm_build import build_language_model

    summary = build_language_model(texts, output, keep_lone_letters=not drop_lone_letters, report=say, **settings)
    click.echo(str(summary.model))


@lm.command("info")
@click.argument("model", type=FILE)
def lm_info(model: Path) -> None:
    """Say what a KenLM MODEL is: order, words, size."""
    from edgespeech.runtime.language_model import LanguageModel

    loaded = LanguageModel(model)
    words = "not stored" if loaded.vocabulary is None else f"{len(loaded.vocabulary)}"
    click.echo(f"order  {loaded.order}\nwords  {words}\nsize   {model.stat().st_size / 1e6:.2f} MB")
