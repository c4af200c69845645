"""A chat model that answers at once: what is measured is everything around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from langchain_core.messages.ai import UsageMetadata

USAGE: UsageMetadata = {
    "input_tokens": 120, "output_tokens": 30, "total_tokens": 150,
    "input_token_details": {"cache_read": 40}, "output_token_details": {"reasoning": 5},
}  # fmt: skip
ANSWERED_MODEL = "gpt-4o-2024-08-06"


def answer() -> ChatResult:
    """One message with its usage."""
    message = AIMessage(
        content="scripted", usage_metadata=USAGE,
        response_metadata={"model_name": ANSWERED_MODEL, "id": "chatcmpl-Zx81kQpL0aVb9"},
    )  # fmt: skip
    return ChatResult(generations=[ChatGeneration(message=message)])


def chunks() -> Iterator[ChatGenerationChunk]:
    """100 chunks, the usage on the last."""
    for _ in range(99):
        yield ChatGenerationChunk(message=AIMessageChunk(content="x"))
    last = AIMessageChunk(
        content="x", usage_metadata=USAGE, response_metadata={"model_name": ANSWERED_MODEL}
    )
    yield ChatGenerationChunk(message=last)


class ScriptedModel(BaseChatModel):
    """Says that it is OpenAI's, so that both instrumentations find all that they look for."""

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

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any
    ) -> ChatResult:
        return answer()

    async def _agenerate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any
    ) -> ChatResult:
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
