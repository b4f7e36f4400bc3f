"""``edgespeech web``: a page that recognises speech in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgespeech.demo.commands.options import FILE, MARKDOWN
from edgespeech.demo.commands.outputs import OVERWRITE, output_site
from edgespeech.errors import UsageError


@click.command(short_help="Build a page that recognises speech in the browser.")
@click.argument("bundle", type=FILE, required=False)
@output_site("-o", "--output", help="Folder to write, for any web server.")
@OVERWRITE
@click.option("--lm", type=FILE, metavar="FILE", help="Language model in place of the bundle's, such as a smaller one.")
@click.option("--no-lm", is_flag=True, help="Leave the language model out.")
@click.option("--ort", "onnxruntime", type=FILE, metavar="DIR",
              help="Folder or .tgz of onnxruntime-web; by default npm downloads it once.")  # fmt: skip
@click.option("--brotli", is_flag=True, help="Compress with brotli too, which takes minutes.")
@MARKDOWN
@click.option("--serve", is_flag=True, help="Serve the page until Ctrl-C; without -o, from a temporary folder.")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Address for --serve.")
@click.option("--port", type=int, default=8090, show_default=True, metavar="PORT",
              help="Port for --serve; 0 takes any that is free.")  # fmt: skip
@click.option("--certificate", type=FILE, metavar="FILE", help="Certificate for https (PEM), with its chain.")
@click.option("--key", type=FILE, metavar="FILE", help="Key of the certificate (PEM, without a password).")
def web(bundle: Path | None, output: Path | None, no_lm: bool, markdown: bool, serve: bool, **options: Any) -> None:
    """Build a page with a BUNDLE that recognises speech in the browser, where nothing leaves the device.

    BUNDLE is a folder, or ``default`` for the default bundle. With --serve it can also be a site that was built before.
    """
    from edgespeech.demo.web.site import SiteRequest, build_site, is_site, open_site

    if output is None and not serve:
        raise UsageError("give the folder to write with -o SITE, or --serve to serve the page at once")
    server = {name: options.pop(name) for name in ("host", "port", "certificate", "key")}
    request = SiteRequest(_folder(bundle), use_lm=not no_lm, **options)
    if not serve:
        assert output is not None
        _report(build_site(output, request), markdown)
        return

    import tempfile

    from edgespeech.runtime.dependencies import require

    require("aiohttp", "serve")
    from edgespeech.demo.web.serving import ServeRequest, serve_site

    where = ServeRequest(**server)
    if output is None and request.bundle is not None and is_site(request.bundle):
        serve_site(open_site(request.bundle), where)
        return
    with tempfile.TemporaryDirectory() as temporary:
        site = build_site(output or Path(temporary) / "site", request)
        if output is not None:
            _report(site, markdown)
        serve_site(site, where)


def _folder(bundle: Path | None) -> Path | None:
    return None if bundle is not None and str(bundle) == "default" and not bundle.exists() else bundle


def _report(site: Any, markdown: bool) -> None:
    from edgespeech.runtime.measure.tables import output_text

    click.echo(output_text([site.table()], markdown))
    click.echo(str(site.folder))
