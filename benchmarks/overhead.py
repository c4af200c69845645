"""What counting adds to a model call: ours beside opentelemetry-instrumentation-genai-langchain.

An in-process scripted model is called without instrumentation, with ours (spans, metrics, ledger,
journal: everything that is on by default) and with the peer's, in alternating rounds. Printed are
the medians of what each adds, and our part of the peer's.

    python benchmarks/overhead.py              a table
    python benchmarks/overhead.py --json -     {"invoke": {"time": {"ours_us": …, …}, …}, …}
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from sink import otlp_sink

VARIANTS = ("none", "ours", "peer")
CASES = {"invoke": 1_000, "ainvoke": 1_000, "stream_100": 100}
GATES = {
    "invoke": {"time": 0.5, "cpu": 0.6}, "ainvoke": {"time": 0.33, "cpu": 0.4},
    "stream_100": {"time": 0.2, "cpu": 0.2}, "start": {"time": 0.5, "cpu": 0.5},
}  # fmt: skip
WORKER = Path(__file__).with_name("overhead_worker.py")


class Worker:
    """A process of one variant."""

    def __init__(self, variant: str, environment: dict[str, str], *, mode: str = "calls") -> None:
        self.variant = variant
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER), variant, mode], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self.started = self.answer()

    def answer(self) -> dict[str, float]:
        """The next line that the process tells."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def measure(self, case: str, calls: int) -> dict[str, float]:
        """Microseconds of one call, over some of them."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"case": case, "calls": calls}) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self) -> None:
        """Ends the process, which ends with its input."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)


def environment(endpoint: str, spool: str) -> dict[str, str]:
    """What every variant runs with: exports by OTLP, and nothing of the caller's own settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OTEL_", "TOKENBEAT_", "LANGSMITH_", "LANGCHAIN_"))
    }
    return {
        **kept, "OTEL_SERVICE_NAME": "overhead", "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "TOKENBEAT_SPOOL_DIR": spool,
    }  # fmt: skip


def rounds_of(case: str, calls: int, workers: list[Worker], rounds: int) -> dict[str, Any]:
    """What each variant adds to a call, after a round that warms up."""
    order = random.Random(7)  # noqa: S311 a schedule, no secret
    added: dict[tuple[str, str], list[float]] = {}
    for worker in workers:
        worker.measure(case, calls)
    for _ in range(rounds):
        shuffled = order.sample(workers, len(workers))
        taken = {worker.variant: worker.measure(case, calls) for worker in shuffled}
        collect(added, taken)
    return ratios(added)


def start_rounds(environ: dict[str, str], rounds: int) -> dict[str, Any]:
    """What each variant adds to the start of a process."""
    added: dict[tuple[str, str], list[float]] = {}
    order = random.Random(7)  # noqa: S311 a schedule, no secret
    for _ in range(rounds):
        taken: dict[str, dict[str, float]] = {}
        for variant in order.sample(VARIANTS, len(VARIANTS)):
            worker = Worker(variant, environ, mode="start")
            worker.close()
            taken[variant] = worker.started
        collect(added, taken)
    return ratios(added)


def collect(added: dict[tuple[str, str], list[float]], taken: dict[str, dict[str, float]]) -> None:
    """One round: what was taken beyond the process without instrumentation."""
    for what in ("time", "cpu"):
        for variant in ("ours", "peer"):
            difference = taken[variant][f"{what}_us"] - taken["none"][f"{what}_us"]
            added.setdefault((what, variant), []).append(difference)


def ratios(added: dict[tuple[str, str], list[float]]) -> dict[str, Any]:
    """Medians, and our part of the peer's."""
    result: dict[str, Any] = {}
    for what in ("time", "cpu"):
        ours, peer = median(added[what, "ours"]), median(added[what, "peer"])
        result[what] = {
            "ours_us": round(ours, 1), "peer_us": round(peer, 1), "ratio": round(ours / peer, 3),
            "gate": None,
        }  # fmt: skip
    return result


def run(rounds: int) -> dict[str, Any]:
    """All cases, each with the ratio that it must stay under."""
    result: dict[str, Any] = {}
    with otlp_sink() as endpoint, tempfile.TemporaryDirectory() as spool:
        environ = environment(endpoint, spool)
        workers = [Worker(variant, environ) for variant in VARIANTS]
        for case, calls in CASES.items():
            result[case] = rounds_of(case, calls, workers, rounds)
        for worker in workers:
            worker.close()
        result["start"] = start_rounds(environ, rounds)
    for case, what in ((case, what) for case in GATES for what in ("time", "cpu")):
        result[case][what]["gate"] = GATES[case][what]
    return result


def main() -> None:
    """Prints the table, or the numbers alone."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help="write JSON there; - is standard output")
    parser.add_argument("--rounds", type=int, default=9, help="alternating rounds, at least 7")
    arguments = parser.parse_args()
    result = run(max(7, arguments.rounds))
    if arguments.json:
        text = json.dumps(result)
        if arguments.json == "-":
            print(text)
        else:
            Path(arguments.json).write_text(text + "\n", encoding="utf-8")
        return
    print(f"{'added by a call':<16}{'':<6}{'ours':>12}{'peer':>12}{'ratio':>8}{'gate':>7}")
    for case, row in result.items():
        for what, figures in row.items():
            print(
                f"{case:<16}{what:<6}{figures['ours_us']:>9.1f} µs{figures['peer_us']:>9.1f} µs"
                f"{figures['ratio']:>8.2f}{figures['gate']:>7}"
            )


if __name__ == "__main__":
    main()
