"""``edgespeech serve``: speech recognition for clients of other programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from edgespeech.demo.commands.options import FILE, Command, recognizer_options
from edgespeech.errors import UsageError
from edgespeech.runtime.options import RecognizerRequest

_MIB = 2**20


class _Port(click.ParamType[int | None]):
    """A port number, ``off``, or ``any`` for one that is free."""

    name = "port"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> int | None:
        text = str(value).strip().lower()
        if text in ("off", "0", "none"):
            return None
        if text == "any":
            return 0
        if text.isdecimal() and int(text) <= 65535:
            return int(text)
        self.fail(f"{value!r} is not a port; wanted 1 to 65535, any, or off", parameter, context)


def _port(name: str, default: int, text: str) -> Callable[[Command], Command]:
    return click.option(f"--{name}-port", type=_Port(), default=str(default), show_default=True,
                        metavar="PORT|any|off", help=text)  # fmt: skip


@click.command(
    short_help="Serve clients of OpenAI's API, Home Assistant and Vosk.",
    context_settings={"auto_envvar_prefix": "EDGESPEECH"},
)
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS",
              help="Address for HTTP and Vosk; any but loopback needs --token, and TLS or --insecure.")  # fmt: skip
@_port("http", 8080, "Port for HTTP and websockets.")
@_port("vosk", 2700, "Port for clients of the Vosk server.")
@_port("wyoming", 10300, "Port for Wyoming, the protocol of Home Assistant.")
@click.option("--wyoming-host", default="127.0.0.1", show_default=True, metavar="ADDRESS",
              help="Address for Wyoming, which has neither a token nor encryption.")  # fmt: skip
@click.option("--announce", metavar="NAME",
              help="Announce Wyoming in the local network by this name, so that Home Assistant finds it.")  # fmt: skip
@click.option("--token", metavar="TOKEN", help="Token that clients must send; better set EDGESPEECH_TOKEN.")
@click.option("--certificate", type=FILE, metavar="FILE", help="Certificate for TLS (PEM), with its chain.")
@click.option("--key", type=FILE, metavar="FILE", help="Key of the certificate (PEM, without a password).")
@click.option("--insecure", is_flag=True, help="Allow another address than loopback without TLS.")
@click.option("--allow-origin", "origins", multiple=True, metavar="ORIGIN",
              help="Web origin whose pages may use the server without a token, * for all; repeatable.")  # fmt: skip
@click.option("--language", default="en", show_default=True, metavar="CODE",
              help="Language of the bundle, which clients are told.")  # fmt: skip
@click.option("--workers", type=int, metavar="N", help="Recognition processes; default: one per CPU core.")
@click.option("--max-streams", type=int, default=100, show_default=True, metavar="N",
              help="Open streams beyond which a new one is refused.")  # fmt: skip
@click.option("--max-queue-ms", type=float, default=2000.0, show_default=True, metavar="MS",
              help="Refuse new streams while audio waits longer than this.")  # fmt: skip
@click.option("--max-batch", type=int, default=16, show_default=True, metavar="N",
              help="Largest number of streams in one step of the model.")  # fmt: skip
@click.option("--max-streams-per-client", type=int, metavar="N",
              help="Open streams of one client address; default: no limit of its own.")  # fmt: skip
@click.option("--max-message-mib", type=float, default=16.0, show_default=True, metavar="MIB",
              help="Largest message of a client.")  # fmt: skip
@click.option("--max-file-mib", type=float, default=100.0, show_default=True, metavar="MIB",
              help="Largest uploaded recording.")  # fmt: skip
@click.option("--max-audio-minutes", type=float, default=240.0, show_default=True, metavar="MINUTES",
              help="Longest stream or recording.")  # fmt: skip
@click.option("--idle", "idle_seconds", type=float, default=60.0, show_default=True, metavar="SECONDS",
              help="Disconnect a client that sends nothing for this long.")  # fmt: skip
@click.option("--grace", "grace_seconds", type=float, default=10.0, show_default=True, metavar="SECONDS",
              help="Time that open streams have when the server stops.")  # fmt: skip
@click.option("--log-json", is_flag=True, help="Log one JSON object per message.")
@recognizer_options("nbest")
def serve(request: RecognizerRequest, log_json: bool, **options: Any) -> int:
    """Serve many clients with one model: OpenAI's API, Home Assistant (Wyoming), Vosk, and a websocket of its own.

    Ctrl-C or SIGTERM ends: open streams become final first. Every option can also be set by an environment variable
    of its name, such as EDGESPEECH_HTTP_PORT.
    """
    from edgespeech.demo.tune_device.settings import with_device_settings
    from edgespeech.runtime.dependencies import require

    require(f"aiohttp wyoming prometheus_client{' zeroconf' if options['announce'] else ''}", "serve")
    from edgespeech.demo.server.logs import server_logging
    from edgespeech.demo.server.request import Limits, ServeRequest
    from edgespeech.demo.server.run import serve as run_server
    from edgespeech.runtime.serving.service import ServiceRequest

    tuned = with_device_settings(request)
    service = ServiceRequest(
        bundle=tuned.bundle,
        options=tuned.options,
        workers=options.pop("workers"),
        max_streams=options.pop("max_streams"),
        max_batch=options.pop("max_batch"),
        max_queue_seconds=options.pop("max_queue_ms") / 1000.0,
    )
    limits = Limits(
        message_bytes=_bytes("--max-message-mib", options.pop("max_message_mib")),
        file_bytes=_bytes("--max-file-mib", options.pop("max_file_mib")),
        audio_seconds=options.pop("max_audio_minutes") * 60.0,
        idle_seconds=options.pop("idle_seconds"),
        streams_per_client=options.pop("max_streams_per_client"),
    )
    with server_logging(log_json):
        return run_server(ServeRequest(service=service, limits=limits, **options))


def _bytes(name: str, mib: float) -> int:
    if not 0.001 <= mib <= 1e6:
        raise UsageError(f"{name} is {mib:g}; wanted 0.001 to 1000000")
    return int(mib * _MIB)
