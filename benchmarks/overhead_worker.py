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
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

STARTED_NS = time.perf_counter_ns()


def instrument(variant: str) -> None:
    """Turns the variant on, as its users do from code."""
    if variant == "ours":
        import tokenbeat

        tokenbeat.start()
    elif variant == "peer":
        from opentelemetry.instrumentation.genai.langchain import LangChainInstrumentor

        LangChainInstrumentor().instrument()


def set_up_sdk() -> None:
    """The same SDK for every variant: OTLP over HTTP, interval and batches by default."""
    from opentelemetry.sdk._configuration import _OTelSDKConfigurator

    _OTelSDKConfigurator().configure()


def scripted_model() -> Any:
    """A chat model that answers at once: what is measured is everything around it."""
    from langchain_core.language_models.chat_models import BaseChatModel
    from langchain_core.messages import AIMessage, AIMessageChunk
    from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

    usage = {
        "input_tokens": 120, "output_tokens": 30, "total_tokens": 150,
        "input_token_details": {"cache_read": 40}, "output_token_details": {"reasoning": 5},
    }  # fmt: skip

    def answer() -> ChatResult:
        message = AIMessage(
            content="scripted", usage_metadata=usage,
            response_metadata={"model_name": "gpt-4o-2024-08-06", "id": "chatcmpl-Zx81kQpL0aVb9"},
        )  # fmt: skip
        return ChatResult(generations=[ChatGeneration(message=message)])

    def chunks() -> Iterator[ChatGenerationChunk]:
        for _ in range(99):
            yield ChatGenerationChunk(message=AIMessageChunk(content="x"))
        last = AIMessageChunk(
            content="x", usage_metadata=usage,
            response_metadata={"model_name": "gpt-4o-2024-08-06"},
        )  # fmt: skip
        yield ChatGenerationChunk(message=last)

    class ScriptedModel(BaseChatModel):
        model_name: str = "gpt-4o"

        @property
        def _llm_type(self) -> str:
            return "openai-chat"

        @property
        def _identifying_params(self) -> dict[str, Any]:
            return {"model_name": self.model_name}

        def _get_ls_params(self, stop: Any = None, **kwargs: Any) -> Any:
            params = super()._get_ls_params(stop=stop, **kwargs)
            return {**params, "ls_provider": "openai", "ls_model_name": self.model_name}

        def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> Any:
            return answer()

        async def _agenerate(
            self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any
        ) -> Any:
            return answer()

        def _stream(
            self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any
        ) -> Iterator[ChatGenerationChunk]:
            for chunk in chunks():
                if run_manager:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

        async def _astream(
            self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any
        ) -> AsyncIterator[ChatGenerationChunk]:
            for chunk in chunks():
                if run_manager:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    return ScriptedModel()


class Cases:
    """What is called, so often a time."""

    def __init__(self) -> None:
        self.model = scripted_model()

    def invoke(self, calls: int) -> None:
        for _ in range(calls):
            self.model.invoke("hello")

    def ainvoke(self, calls: int) -> None:
        async def many() -> None:
            for _ in range(calls):
                await self.model.ainvoke("hello")

        asyncio.run(many())

    def stream_100(self, calls: int) -> None:
        for _ in range(calls):
            for _chunk in self.model.stream("hello"):
                pass


def flush() -> None:
    """Exports what is waiting: its CPU belongs to the calls."""
    from opentelemetry import metrics, trace

    for provider in (metrics.get_meter_provider(), trace.get_tracer_provider()):
        provider.force_flush()  # type: ignore[attr-defined]


def measure(cases: Cases, case: str, calls: int) -> dict[str, float]:
    gc.collect()
    cpu_ns = time.process_time_ns()
    began_ns = time.perf_counter_ns()
    getattr(cases, case)(calls)
    time_ns = time.perf_counter_ns() - began_ns
    flush()
    cpu_ns = time.process_time_ns() - cpu_ns
    return {"time_us": time_ns / calls / 1_000, "cpu_us": cpu_ns / calls / 1_000}


def main() -> None:
    variant, mode = sys.argv[1:3]
    import langchain_core.language_models.chat_models  # noqa: F401 what every application has

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
