"""Registration: AgentSpec's request and answer, rotation, and who may."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from tokenbeat.control_plane.db.models import Key, Service

if TYPE_CHECKING:
    from ..conftest import Lab  # noqa: TID252 only for the type checkers

_URL = "/api/v1/register"


def _asked(name: object = "research", **more: object) -> dict[str, object]:
    return {"agentName": name, "runtime": "local", **more}


async def test_the_answer_has_agentspecs_shape_and_the_key_opens_the_heartbeat(
    any_lab: Lab, beat: Any
) -> None:
    asked = _asked(manifest={"apiVersion": "agentspec.io/v1"})
    answer = await any_lab.client.post(_URL, json=asked, headers=any_lab.admin)
    assert answer.status_code == 200
    made = answer.json()
    assert set(made) == {"agentId", "apiKey", "expiresAt"}
    assert made["agentId"].startswith("agt_")
    assert len(bytes.fromhex(made["agentId"][4:])) == 16
    lifetime = datetime.fromisoformat(made["expiresAt"].replace("Z", "+00:00"))
    assert lifetime - any_lab.plane.now() == timedelta(days=30)
    (service,) = await any_lab.rows(Service)
    assert (service.runtime, service.manifest) == ("local", {"apiVersion": "agentspec.io/v1"})
    assert (await any_lab.send(beat(), key=made["apiKey"])).status_code == 200


async def test_only_a_hash_of_the_keys_id_is_kept(lab: Lab) -> None:
    key = await lab.key()
    claims: dict[str, Any] = jwt.decode(key, options={"verify_signature": False})  # pyright: ignore[reportUnknownMemberType] of cryptography, not installed
    (row,) = await lab.rows(Key)
    assert claims["sub"] == row.subject
    assert str(claims["jti"]) not in str(row.__dict__)
    assert jwt.get_unverified_header(key)["alg"] == "HS256"


async def test_registering_again_rotates(any_lab: Lab, beat: Any) -> None:
    old = await any_lab.key()
    new = await any_lab.key()
    refused = await any_lab.send(beat(), key=old)
    assert refused.status_code == 401
    assert "revoked" in refused.json()["detail"]
    assert (await any_lab.send(beat(), key=new)).status_code == 200
    (service,) = await any_lab.rows(Service)
    assert {row.subject for row in await any_lab.rows(Key)} == {service.agent_id}


async def test_a_fleets_key_rotates_too_and_touches_no_agents_key(any_lab: Lab, beat: Any) -> None:
    agent = await any_lab.key()
    old = await any_lab.key(kind="fleet")
    new = await any_lab.key(kind="fleet")
    statuses = [(await any_lab.send(beat(), key=key)).status_code for key in (agent, old, new)]
    assert statuses == [200, 401, 200]
    fleets = await any_lab.rows(Key, kind="fleet")
    assert len({row.subject for row in fleets}) == 1
    assert fleets[0].subject.startswith("flt_")


async def test_a_key_expires(lab: Lab, beat: Any) -> None:
    await lab.key()
    lab.clock.advance(30 * 86_400 * 10**9 - 1_000)
    assert (await lab.send(beat())).status_code == 200
    lab.clock.advance(1_000)
    refused = await lab.send(beat())
    assert (refused.status_code, "expired" in refused.json()["detail"]) == (401, True)


async def test_after_the_database_was_lost_an_old_key_is_401_and_a_new_one_opens(
    new_lab: Any, beat: Any, tmp_path: Any
) -> None:
    async with new_lab() as lab:
        old = await lab.key()
        assert (await lab.send(beat(revision=4))).status_code == 200
    for file in (tmp_path / "data").glob("tokenbeat.sqlite3*"):
        file.unlink()
    async with new_lab() as lab:
        assert (await lab.send(beat(), key=old)).status_code == 401
        # The agent lives on with its base; the answer tells it to begin again.
        answer = await lab.send(beat(revision=5, base=4), key=await lab.key())
        assert (answer.status_code, answer.json()["revision"]) == (200, 0)


@pytest.mark.parametrize("name", ["a", "7", "a" * 63, "my-agent", "0-0"])
async def test_names_that_agentspec_allows(lab: Lab, name: str) -> None:
    answer = await lab.client.post(_URL, json=_asked(name), headers=lab.admin)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (_asked(""), "agentName"),
        (_asked("a" * 64), "agentName"),
        (_asked("-a"), "agentName"),
        (_asked("a-"), "agentName"),
        (_asked("a.b"), "agentName"),
        (_asked("Agent"), "agentName"),
        (_asked("agent\n"), "agentName"),
        (_asked(7), "agentName"),
        (_asked(None), "agentName"),
        ({"runtime": "local"}, "agentName"),
        ({"agentName": "a"}, "runtime"),
        ({"agentName": "a", "runtime": "moon"}, "runtime"),
        (_asked(manifest=[]), "manifest"),
        (_asked(manifest={"a": "\x00"}), "manifest.a"),
        (_asked(kind="king"), "kind"),
        ([], "body"),
    ],
)
async def test_what_is_wrong_is_named_and_makes_no_key(lab: Lab, body: object, field: str) -> None:
    answer = await lab.client.post(_URL, json=body, headers=lab.admin)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert await lab.rows(Key) == []
    assert (await lab.client.post(_URL, json=_asked(), headers=lab.admin)).status_code == 200


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"{", "application/json", 422),
        (b'{"agentName": NaN}', "application/json", 422),
        (b" " * 10_000_000, "application/json", 413),
        (json.dumps(_asked()).encode(), "text/plain", 415),
        (b"agentName=a&runtime=local", "application/x-www-form-urlencoded", 415),
    ],
)
async def test_what_is_no_json_message_is_refused(
    lab: Lab, content: bytes, content_type: str, status: int
) -> None:
    headers = {**lab.admin, "Content-Type": content_type}
    answer = await lab.client.post(_URL, content=content, headers=headers)
    assert answer.status_code == status
    assert answer.json()["field"] in {"body", "Content-Type"}
    assert await lab.rows(Key) == []


@pytest.mark.parametrize("key", [None, "", "wrong", "é", "x" * 10_000])
async def test_without_the_admin_key_nobody_registers(lab: Lab, key: str | None) -> None:
    headers = [] if key is None else [(b"X-Admin-Key", key.encode())]
    answer = await lab.client.post(_URL, json=_asked(), headers=headers)
    assert (answer.status_code, answer.json()["field"]) == (403, "X-Admin-Key")
    assert lab.plane.secrets.admin_key not in answer.text
    assert await lab.rows(Key) == []


async def test_an_agents_key_does_not_register(lab: Lab) -> None:
    headers = {"X-Admin-Key": await lab.key(), "Authorization": f"Bearer {lab.keys['research']}"}
    assert (await lab.client.post(_URL, json=_asked(), headers=headers)).status_code == 403


async def test_a_manifest_stays_when_a_later_registration_brings_none(lab: Lab) -> None:
    for more in ({"manifest": {"a": 1}}, {}):
        await lab.client.post(_URL, json=_asked(**more), headers=lab.admin)
    (service,) = await lab.rows(Service)
    assert service.manifest == {"a": 1}


async def test_a_key_of_ours_that_lacks_a_tenant_is_refused(lab: Lab, beat: Any) -> None:
    secret = lab.plane.secrets.signing_secret
    for tenant in ({}, {"tenant": 7}):
        claims = {"sub": "agt_1", "jti": "1", "exp": 2**31, **tenant}
        key = jwt.encode(claims, secret, algorithm="HS256")  # pyright: ignore[reportUnknownMemberType] of cryptography, not installed
        assert (await lab.send(beat(), key=key)).status_code == 401
