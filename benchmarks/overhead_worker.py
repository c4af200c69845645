"""One variant of the overhead benchmark in a process of its own: none, ours or the peer's.

Reads commands as JSON lines on standard input (``{"case": "invoke", "calls": 200}``) and answers
each with the time that a call took and the CPU that the whole process spent for one, exports
included (microseconds).
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time

from scripted_model import ScriptedModel  # with it comes the LangChain that an application has


def instrument(variant: str) -> None:
    """Turns the variant on, as its users do from code."""
    if variant == "ours":
        import tokenbeat  # noqa: PLC0415 part of what is measured

        tokenbeat.start()
    elif variant == "peer":
        from opentelemetry.instrumentation.genai.langchain import (  # noqa: PLC0415 as above
            LangChainInstrumentor,
        )

        LangChainInstrumentor().instrument()


def set_up_sdk() -> None:
    """The same SDK for every variant: OTLP over HTTP, interval and batches by default."""
    from opentelemetry.sdk._configuration import _OTelSDKConfigurator  # noqa: PLC0415 once, here

    _OTelSDKConfigurator().configure()


class Cases:
    """What is called, so often a time."""

    def __init__(self) -> None:
        self.model = ScriptedModel()

    def invoke(self, calls: int) -> None:
        """Waits for each answer."""
        for _ in range(calls):
            self.model.invoke("hello")

    def ainvoke(self, calls: int) -> None:
        """Awaits each answer, on one event loop."""

        async def many() -> None:
            for _ in range(calls):
                await self.model.ainvoke("hello")

        asyncio.run(many())

    def stream_100(self, calls: int) -> None:
        """Reads streams of 100 chunks."""
        for _ in range(calls):
            for _chunk in self.model.stream("hello"):
                pass


def flush() -> None:
    """Exports what is waiting: its CPU belongs to the calls."""
    from opentelemetry import metrics, trace  # noqa: PLC0415 instrument() is measured without it

    for provider in (metrics.get_meter_provider(), trace.get_tracer_provider()):
        provider.force_flush()  # type: ignore[attr-defined]


def measure(cases: Cases, case: str, calls: int) -> dict[str, float]:
    """Time and CPU of one call, in microseconds, over some of them."""
    gc.collect()
    cpu_ns = time.process_time_ns()
    began_ns = time.perf_counter_ns()
    getattr(cases, case)(calls)
    time_ns = time.perf_counter_ns() - began_ns
    flush()
    cpu_ns = time.process_time_ns() - cpu_ns
    return {"time_us": time_ns / calls / 1_000, "cpu_us": cpu_ns / calls / 1_000}


def main() -> None:
    """Tells what starting cost, then answers commands until there are no more."""
    variant, mode = sys.argv[1:3]
    set_up_sdk()
    began_ns, began_cpu_ns = time.perf_counter_ns(), time.process_time_ns()
    instrument(variant)
    start = {
        "time_us": (time.perf_counter_ns() - began_ns) / 1_000,
        "cpu_us": (time.process_time_ns() - began_cpu_ns) / 1_000,
    }
    print(json.dumps(start), flush=True)
    if mode == "start":
        os._exit(0)
    cases = Cases()
    for line in sys.stdin:
        command = json.loads(line)
        print(json.dumps(measure(cases, command["case"], command["calls"])), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
