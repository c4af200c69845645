"""``make demo``: one command shows every token of a real agent, by model and by caller."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.live import Live

from tokenbeat.demo import doors
from tokenbeat.demo.agent_process import Conversations, converse
from tokenbeat.demo.comparing import differences, equal, line
from tokenbeat.demo.errors import DemoError
from tokenbeat.demo.faults import plant
from tokenbeat.demo.stage import stage
from tokenbeat.demo.table import LiveTable

if TYPE_CHECKING:
    from types import FrameType

_EPILOG = "Exit code: 0 where all numbers are equal, 1 where they are not, 2 where it failed."


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG)
@click.option("--once", is_flag=True, help="End by itself instead of keeping the page open.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
@click.option("--live", is_flag=True, help="Use the endpoint in OPENAI_API_KEY / OPENAI_BASE_URL.")
@click.option("--cap", default=20_000, show_default=True, help="Tokens that --live may spend.")
@click.option("--fault", type=click.Choice(doors.DOORS), help="Make one door wrong; exits with 1.")
@click.option("--runs", default=1, show_default=True, help="Conversations.")
@click.option("--parallel", default=1, show_default=True, help="How many of them at once.")
@click.option("--port", default=0, show_default=True, help="Of the page; 0 takes a free one.")
def main(  # noqa: PLR0913 the demo has these switches
    *, once: bool, as_json: bool, live: bool, cap: int, fault: str | None, runs: int,
    parallel: int, port: int,
) -> None:  # fmt: skip
    """Run a research agent and compare its tokens at five doors."""
    console = Console(stderr=as_json)
    # Told to end, it still takes its servers and its folder along.
    signal.signal(signal.SIGTERM, _end)
    if fault == doors.BILL and live:
        reason = "a live run has no bill to plant a fault in"
        raise click.UsageError(reason)
    plan = Conversations(runs=max(runs, parallel), parallel=parallel, live=live, cap_tokens=cap)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="tokenbeat-demo-") as folder,
            stage(Path(folder), live=live, hurry=once or as_json, port=port) as set_up,
        ):
            console.print(f"The page: {set_up.control_plane}/", highlight=False)
            with Live(console=console, auto_refresh=False) as drawn:
                table = LiveTable(drawn, control_plane=set_up.control_plane)
                converse(set_up, plan, look=table.look, spent_tokens=lambda: table.spent_tokens)
            if fault is not None:
                plant(fault, set_up)
            readings = doors.read(set_up, live=live)
            if not console.is_terminal:
                console.print()  # what was drawn live ends without a newline there
            console.print(line(readings), highlight=False, soft_wrap=True)
            for difference in differences(readings):
                console.print(f"  {difference}", highlight=False, soft_wrap=True)
            if as_json:
                told = {reading.door: reading.as_json() for reading in readings}
                click.echo(json.dumps({"equal": equal(readings), "doors": told}))
            if not once:
                console.print(f"The page stays at {set_up.control_plane}/ until Ctrl-C.")
                _wait_for_interrupt()
    except DemoError as error:
        console.print(f"tokenbeat demo: {error}", style="red", highlight=False, soft_wrap=True)
        sys.exit(2)
    sys.exit(0 if equal(readings) else 1)


def _end(number: int, frame: FrameType | None) -> None:
    del frame
    sys.exit(128 + number)


def _wait_for_interrupt() -> None:
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
