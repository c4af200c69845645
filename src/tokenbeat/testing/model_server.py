"""The model server as a process: ``python -m tokenbeat.testing.model_server --script FILE.json``.

Prints one line of JSON with its addresses, then serves until SIGTERM or SIGINT (Ctrl-C).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from tokenbeat.testing.errors import ModelServerError
from tokenbeat.testing.script import Script
from tokenbeat.testing.script_json import script_from_json
from tokenbeat.testing.serving import ModelServer

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to end.

    Returns:
        0, or 2 where the script cannot be read.
    """
    parser = argparse.ArgumentParser(prog="python -m tokenbeat.testing.model_server")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port (default)")
    parser.add_argument("--script", type=Path, help="JSON form of a Script; default: no rules")
    chosen = parser.parse_args(arguments)
    try:
        script = _read(chosen.script)
    except (ModelServerError, OSError, ValueError) as error:
        sys.stderr.write(f"{chosen.script}: {error}\n")
        return 2
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: ended.set())
    with ModelServer(script, port=chosen.port) as server:
        addresses = {
            "url": server.url,
            "openai_url": server.openai_url,
            "anthropic_url": server.anthropic_url,
            "bill_url": f"{server.url}/bill",
            "pid": os.getpid(),
        }
        sys.stdout.write(json.dumps(addresses) + "\n")
        sys.stdout.flush()
        ended.wait()
    return 0


def _read(path: Path | None) -> Script:
    return script_from_json(json.loads(path.read_text("utf-8"))) if path else Script()


if __name__ == "__main__":
    sys.exit(main())
