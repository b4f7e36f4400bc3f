"""The command line: ``edgespeech``. Results go to standard output, everything else to standard error."""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import os
import sys
import threading
from importlib import import_module
from typing import Any

import click

from edgespeech import __version__
from edgespeech.demo.commands.console import logging_to_console, verbosity_options
from edgespeech.errors import EdgespeechError

# Name of each command -> the module of `edgespeech.demo.commands` and the name in it, imported on first use.
COMMANDS = {
    "adapt": ("speech.adapt", "adapt"),
    "average": ("train", "average"),
    "bench": ("bench", "bench"),
    "calibrate": ("train", "calibrate"),
    "confidence": ("decoder", "confidence"),
    "data": ("speech.data", "data"),
    "devices": ("live", "devices"),
    "doctor": ("device", "doctor"),
    "evaluate": ("evaluate", "evaluate"),
    "export": ("bundles", "export"),
    "hot-words": ("decoder", "hot_words"),
    "import": ("bundles", "import_foreign"),
    "info": ("bundles", "info"),
    "live": ("live", "live"),
    "lm": ("lm", "lm"),
    "punctuation": ("punctuation", "punctuation"),
    "record": ("speech.record", "record"),
    "quantize": ("bundles", "quantize"),
    "serve": ("serve", "serve"),
    "train": ("train", "train"),
    "transcribe": ("transcribe", "transcribe"),
    "tune-device": ("device", "tune_device"),
    "verify": ("bundles", "verify"),
    "web": ("web", "web"),
}


# Raised by a group without a command; before click 8.2, click prints the help itself.
_NO_ARGUMENTS: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())


# Between two runs of the garbage collector: imports make far more objects than the usual 700, and all of them stay.
_COLLECTED_OBJECTS = 20_000


class LazyGroup(click.Group):
    """Imports a command on first use, and gives every command ``--verbose`` and ``--quiet``."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import a command; return None for an unknown name."""
        if name not in COMMANDS:
            return None
        module, attribute = COMMANDS[name]
        command: click.Command = getattr(import_module(f"edgespeech.demo.commands.{module}"), attribute)
        _add_verbosity(command)
        return command


def _add_verbosity(command: click.Command) -> None:
    if not any(parameter.name == "quiet" for parameter in command.params):
        command.params += verbosity_options()
    if isinstance(command, click.Group) and not isinstance(command, LazyGroup):
        for inner in command.commands.values():
            _add_verbosity(inner)


@click.group(cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edgespeech")
@click.pass_context
def cli(context: click.Context) -> None:
    """Deep Speech 2 on the device: export a checkpoint, transcribe recordings and the microphone.

    \b
    edgespeech transcribe talk.wav            recordings to text, JSON or subtitles
    edgespeech live                           the microphone, word by word
    edgespeech export model.pt -o bundle/     a checkpoint to a verified streaming bundle
    """  # noqa: D301 (click reads the backspace)
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


_add_verbosity(cli)


def main() -> None:
    """Run the command line; every error of the package becomes one line on standard error."""
    # OpenBLAS starts threads that wait busily: a tenth of a second of CPU, for products that are too small to share.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    _accept_any_character()
    with logging_to_console():
        code = _run()
    sys.exit(code if isinstance(code, int) else 0)


def run_and_exit() -> None:
    """Do what `main` does, then end the process without freeing its memory piece by piece: a tenth of a second less."""
    gc.set_threshold(_COLLECTED_OBJECTS, 10, 10)
    try:
        main()
    except SystemExit as end:
        if threading.active_count() > 1:
            raise
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or there is none
                stream.flush()
        os._exit(end.code if isinstance(end.code, int) else 0)


def _run() -> object:
    try:
        code = cli.main(prog_name="edgespeech", standalone_mode=False)
        if sys.stdout is not None:  # closed by the caller
            sys.stdout.flush()
    except click.ClickException as error:
        code = _report_usage(error)
    except EdgespeechError as error:
        code = _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        code = 130
    except (BrokenPipeError, SystemExit):  # the reader has gone; click turns the first into the second
        code = 0
        _abandon_standard_output()
    except UnicodeEncodeError as error:
        code = _fail(f"{error.object!a} cannot be written as {error.encoding}; rename the file or folder", 2)
    except OSError as error:
        what = error.filename or "output"
        code = _fail(f"{what}: {error.strerror or error}; free some space or correct the path", 2)
        _abandon_standard_output()
    return code


def _report_usage(error: click.ClickException) -> int:
    """Print the help of a group without a command, or one line that points to the help of the command."""
    context: click.Context | None = getattr(error, "ctx", None)
    if context is not None and isinstance(error, _NO_ARGUMENTS):
        click.echo(context.get_help())
        return 0
    command = _given_command() if context is None else context.command_path
    return _fail(f"{' '.join(error.format_message().split()).rstrip('.')}; see {command} --help", 2)


def _given_command() -> str:
    """Return the command that the arguments begin with, for errors of click's parser, which do not name it."""
    path = "edgespeech"
    command: click.Group = cli
    for name in sys.argv[1:]:
        found = command.get_command(click.Context(command), name)
        if found is None:
            break
        path = f"{path} {name}"
        if not isinstance(found, click.Group):
            break
        command = found
    return path


def _accept_any_character() -> None:
    """Escape on standard output what its encoding lacks, as Python does on standard error: some file names, accents."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _fail(message: str, code: int) -> int:
    click.echo(f"edgespeech: {' '.join(message.split())}", err=True)
    return code


def _abandon_standard_output() -> None:
    from edgespeech.runtime.live.outputs import abandon_standard_output

    abandon_standard_output()


if __name__ == "__main__":
    run_and_exit()
