"""The commands with their options. What they do is in the module of their name."""

from __future__ import annotations

from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tokenbeat.settings import TOKENBEAT_CONTROL_PLANE_URL, TOKENBEAT_SPOOL_DIR

if TYPE_CHECKING:
    from collections.abc import Callable

FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)

_DEFAULT_URL = "http://127.0.0.1:8000"


def _url_option(default: str | None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(
        "--url",
        envvar=TOKENBEAT_CONTROL_PLANE_URL,
        show_envvar=True,
        default=default,
        show_default=default is not None,
        help="Address of the control plane.",
    )


_admin_key_file = click.option(
    "--admin-key-file",
    type=FILE,
    help="File with the admin key. Default: the one that `tokenbeat serve` wrote on this machine, "
    "for a control plane on this machine.  [env var of the key itself: TOKENBEAT_ADMIN_KEY]",
)
_admin_key = click.option("--admin-key", envvar="TOKENBEAT_ADMIN_KEY", hidden=True)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="tokenbeat", message="%(prog)s %(version)s")
def tokenbeat() -> None:
    """Count every token that an agent system spends: once, by model and by caller."""


@tokenbeat.command()
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="TCP port; 0 lets the system choose.  [default: 8000]")
@click.option("--data-dir", type=FOLDER, help="Folder of database, admin key and signing secret.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning"]), default="warning")
def serve(*, host: str | None, port: int | None, data_dir: Path | None, log_level: str) -> None:
    """Start the control plane: heartbeats in, reports, live updates and a page out.

    The first start writes an admin key and a signing secret into the data folder. Every setting
    can also be given as TOKENBEAT_… in the environment; an option comes first.
    """
    from tokenbeat.cli.serve import serve as start  # noqa: PLC0415 the server's packages are heavy

    given = {"host": host, "port": port, "data_dir": data_dir}
    start({name: value for name, value in given.items() if value is not None}, log_level=log_level)


@tokenbeat.command()
@click.argument("name")
@_url_option(_DEFAULT_URL)
@_admin_key_file
@_admin_key
@click.option("--key-file", type=FILE, help="Write the key there (mode 0600), not to the terminal.")
@click.option("--fleet", is_flag=True, help="A key under which any service may report.")
@click.option(
    "--runtime",
    type=click.Choice(["local", "docker", "k8s", "bedrock", "vertex"]),
    default="local",
    show_default=True,
    help="Where the service runs.",
)
@_json
def register(  # noqa: PLR0913 a registration has these options
    *,
    name: str,
    url: str,
    admin_key_file: Path | None,
    admin_key: str | None,
    key_file: Path | None,
    fleet: bool,
    runtime: str,
    as_json: bool,
) -> None:
    """Make the key under which service NAME reports; earlier keys of NAME end."""
    from tokenbeat.cli.asking import Server  # noqa: PLC0415 for this command only
    from tokenbeat.cli.register import register as make  # noqa: PLC0415

    server = Server(url, admin_key=admin_key, admin_key_file=admin_key_file)
    make(server, name, key_file=key_file, fleet=fleet, runtime=runtime, as_json=as_json)


@tokenbeat.command()
@click.option("--service", help="One service only.")
@click.option("--by", default="model,caller", show_default=True, help="How to split the sums.")
@click.option("--from", "start", metavar="TIME", help="Beginning, as 2026-04-01T12:00:00Z.")
@click.option("--to", "end", metavar="TIME", help="End.")
@_url_option(None)
@_admin_key_file
@_admin_key
@click.option("--journals", is_flag=True, help="Read this machine's journals, ask no server.")
@click.option(
    "--spool-dir",
    type=FOLDER,
    envvar=TOKENBEAT_SPOOL_DIR,
    show_envvar=True,
    help="Folder of the journals.",
)
@_json
def usage(  # noqa: PLR0913 a question has these options
    *,
    service: str | None,
    by: str,
    start: str | None,
    end: str | None,
    url: str | None,
    admin_key_file: Path | None,
    admin_key: str | None,
    journals: bool,
    spool_dir: Path | None,
    as_json: bool,
) -> None:
    """Print what was spent: what the control plane knows, or without one the local journals.

    --by takes service, agent, model, requestModel, responseModel, provider, operation, caller,
    callerType, incarnation and, of a control plane, run.
    """
    from tokenbeat.cli import usage as asked  # noqa: PLC0415 for this command only
    from tokenbeat.cli.asking import Server  # noqa: PLC0415

    if url and not journals:
        server = Server(url, admin_key=admin_key, admin_key_file=admin_key_file)
        report = asked.from_server(server, service=service, by=by, start=start, end=end)
    else:
        report = asked.from_journals(spool_dir, service=service, by=by, start=start, end=end)
    asked.show(report, as_json=as_json)


@tokenbeat.group()
def journal() -> None:
    """Look into the journals that agents write."""


@journal.command("show")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_json
def journal_show(*, file: Path, as_json: bool) -> None:
    """Replay a journal FILE and print its books."""
    from tokenbeat.cli.journal import show  # noqa: PLC0415 for this command only

    show(file, as_json=as_json)


@tokenbeat.command()
def version() -> None:
    """Print the version."""
    click.echo(f"tokenbeat {installed('tokenbeat')}")
