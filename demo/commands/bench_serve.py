"""``edgespeech bench serve``: how many streams a server carries."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import click

from edgespeech.demo.commands.options import BUNDLE, FILE, MARKDOWN, json_option, values


@click.command("serve")
@BUNDLE
@click.option("--servers", default="batched,threads", show_default=True, metavar="A,B", callback=values(str),
              help="Ways to serve: batched, unbatched, one process batched, one by one, threads.")  # fmt: skip
@click.option("--streams", metavar="N,N", callback=values(int),
              help="Numbers of streams to try; default: search for the most.")  # fmt: skip
@click.option("--max-streams", type=int, default=1000, show_default=True, metavar="N", help="Limit of that search.")
@click.option("--limit-ms", type=float, default=500.0, show_default=True, metavar="MS",
              help="Latency below which 98 % of the results must stay.")  # fmt: skip
@click.option("--seconds", type=float, default=20.0, show_default=True, metavar="S", help="Length of a trial.")
@click.option("--warm-seconds", type=float, default=8.0, show_default=True, metavar="S",
              help="Time before it in which the clients begin at random.")  # fmt: skip
@click.option("--workers", type=int, metavar="N", help="Recognition processes; default: those of `serve`.")
@click.option("--beam-width", type=int, metavar="N", help="Beam width; default: the bundle's.")
@click.option("--speech", type=FILE, metavar="MANIFEST", help="Clips to send; default: the sample clips.")
@json_option("Print a JSON list of results.")
@MARKDOWN
def bench_serve(as_json: bool, markdown: bool, seconds: float, warm_seconds: float, bundle: Path | None,
                servers: list[str], streams: list[int], max_streams: int, **options: object) -> None:  # fmt: skip
    """Measure how many clients a server carries, beside other ways to serve.

    Clients replay clips in real time over a websocket. Latency is the time from sending the audio that causes a result
    to the result, and every result is compared with that of a stream alone.
    """
    from edgespeech.demo.load_test.report import LoadTestRequest, load_test_json, load_test_page, run_load_test
    from edgespeech.demo.load_test.trials import Effort
    from edgespeech.runtime.dependencies import require
    from edgespeech.runtime.measure.tables import output_text

    require("aiohttp", "serve")
    request = LoadTestRequest(
        bundle,
        servers,
        streams,
        max_tried=max_streams,
        effort=Effort(seconds, warm_seconds),
        **options,  # type: ignore[arg-type]
    )
    results = run_load_test(request)
    if as_json:
        click.echo(json.dumps(load_test_json(results)))
    else:
        command = shlex.join(["edgespeech", *sys.argv[1:]])
        click.echo(output_text(load_test_page(results, request, command), markdown))
