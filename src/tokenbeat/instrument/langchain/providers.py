"""LangChain's names of providers in the words of the OpenTelemetry conventions."""

from __future__ import annotations

from typing import Final

UNKNOWN: Final = "unknown"
"""The provider of a model that does not say whose it is."""

_PROVIDERS: Final = {
    "azure": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "azureopenai": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "google_genai": "gcp.gemini",
    "google": "gcp.gemini",
    "googlegenerativeai": "gcp.gemini",
    "google_vertexai": "gcp.vertex_ai",
    "vertexai": "gcp.vertex_ai",
    "google_anthropic_vertex": "gcp.vertex_ai",
    "amazon_bedrock": "aws.bedrock",
    "aws_bedrock": "aws.bedrock",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "xai": "x_ai",
    "ibm": "ibm.watsonx.ai",
    "watsonx": "ibm.watsonx.ai",
    "moonshot": "moonshot_ai",
}
"""Where the names differ; every other name (``openai``, ``anthropic``, …) stays as it is."""


def provider_name(ls_provider: object) -> str:
    """``gen_ai.provider.name`` for the ``ls_provider`` of a run's metadata."""
    if not isinstance(ls_provider, str) or not ls_provider:
        return UNKNOWN
    return _PROVIDERS.get(ls_provider, ls_provider)
