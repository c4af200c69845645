"""What a request tells: model, parameters, host; and nothing that could be content."""

from __future__ import annotations

from typing import Any

import pytest

from tokenbeat.instrument.langchain.asked import request_model, request_params, server
from tokenbeat.instrument.langchain.providers import UNKNOWN, provider_name


@pytest.mark.parametrize(
    ("params", "metadata", "model"),
    [
        ({"model": "a"}, {"ls_model_name": "b"}, "a"),
        ({"model_name": "a"}, {}, "a"),
        ({"model": None, "model_id": "a"}, {}, "a"),
        ({}, {"ls_model_name": "b"}, "b"),
        ({"model": 7}, {}, None),
        ({"model": ""}, {}, None),
        ({}, {}, None),
    ],
)
def test_the_requested_model(params: Any, metadata: Any, model: str | None) -> None:
    assert request_model(params, metadata) == model


def test_sampling_settings_become_attributes() -> None:
    params = {
        "temperature": 1, "top_p": 0.5, "max_tokens": 7, "n": 2, "seed": 3, "top_k": None,
        "stop": ["secret words"], "tools": [{"name": "t"}], "presence_penalty": True,
    }  # fmt: skip
    assert request_params(params) == {
        "gen_ai.request.temperature": 1.0,
        "gen_ai.request.top_p": 0.5,
        "gen_ai.request.max_tokens": 7,
        "gen_ai.request.seed": 3,
        "gen_ai.request.choice.count": 2,
    }


def test_no_settings_are_no_attributes() -> None:
    assert request_params({"_type": "x", "stop": None, "n": 1}) is None


def test_the_server_is_its_host_without_path_or_credentials() -> None:
    address = "https://user:key@api.example.com:8443/v1?token=x"
    assert server({"kwargs": {"openai_api_base": address}}) == ("api.example.com", 8443)
    assert server({"kwargs": {"base_url": "http://[::1]/v1"}}) == ("::1", None)


@pytest.mark.parametrize(
    "serialized",
    [
        None,
        {},
        {"kwargs": None},
        {"kwargs": {}},
        {"kwargs": {"base_url": 7}},
        {"kwargs": {"base_url": "http://x:port/"}},
    ],
)
def test_an_unknown_server_is_none(serialized: Any) -> None:
    assert server(serialized) == (None, None)


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("openai", "openai"),
        ("azure", "azure.ai.openai"),
        ("amazon_bedrock", "aws.bedrock"),
        ("google_genai", "gcp.gemini"),
        ("mistral", "mistral_ai"),
        ("something_new", "something_new"),
        ("", UNKNOWN),
        (None, UNKNOWN),
        (7, UNKNOWN),
    ],
)
def test_providers_are_named_as_the_conventions_do(told: object, name: str) -> None:
    assert provider_name(told) == name
