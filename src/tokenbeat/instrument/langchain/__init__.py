"""LangChain and LangGraph: one callback handler that hears every model call.

What belongs here: everything that knows LangChain's names and shapes. Importing this package does
not import LangChain.
"""

from __future__ import annotations

from tokenbeat.instrument.langchain.instrumentor import LangChainInstrumentor

__all__ = ["LangChainInstrumentor"]
