"""Whose beat it is: bearer, services, fleets, tenants, incarnations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokenbeat.control_plane.db.models import Cell, Service
from tokenbeat.control_plane.keys.tenants import open_tenant

if TYPE_CHECKING:
    from ..conftest import Lab  # noqa: TID252 only for the type checkers


async def test_the_word_bearer_may_be_written_in_any_case(lab: Lab, beat: Any) -> None:
    key = await lab.key()
    for scheme in ("Bearer", "bearer", "BEARER"):
        answer = await lab.client.post(
            "/api/v1/heartbeat", json=beat(), headers={"Authorization": f"{scheme} {key}"}
        )
        assert answer.status_code == 200


async def test_a_fleet_key_creates_services_as_they_appear(
    any_lab: Lab, beat: Any, cell: Any
) -> None:
    fleet = await any_lab.key("everything", kind="fleet")
    for name, incarnation in (("one", "a" * 16), ("two", "b" * 16)):
        message = beat((30, [cell("lead", 1)]), service=name, incarnation=incarnation)
        message["tokenbeat"]["service"]["originalName"] = name.upper()
        assert (await any_lab.send(message, key=fleet)).status_code == 200
    services = await any_lab.rows(Service)
    assert {(row.service, row.original_name) for row in services} == {
        ("one", "ONE"),
        ("two", "TWO"),
    }
    assert all(row.agent_id.startswith("agt_") and len(row.agent_id) == 36 for row in services)


async def test_an_incarnation_of_another_service_is_403_and_gets_nothing(
    any_lab: Lab, beat: Any, cell: Any
) -> None:
    await any_lab.send(beat((30, [cell("lead", 1)])))
    other = await any_lab.key("other")
    before = await any_lab.everything()
    answer = await any_lab.send(beat((30, [cell("lead", 9)]), service="other"), key=other)
    assert (answer.status_code, answer.json()["field"]) == (403, "tokenbeat.incarnation")
    assert await any_lab.everything() == before


async def test_two_tenants_never_meet(any_lab: Lab, beat: Any, cell: Any) -> None:
    """Same service, same incarnation, same cell: two worlds."""
    await open_tenant(any_lab.plane, tenant="acme")
    ours, theirs = await any_lab.key(), await any_lab.key(tenant="acme")
    await any_lab.send(beat((30, [cell("lead", 5)])), key=ours)
    await any_lab.send(beat((30, [cell("lead", 3)]), revision=9), key=theirs)
    cells = await any_lab.rows(Cell)
    assert {(row.tenant, row.input_tokens) for row in cells} == {("default", 5), ("acme", 3)}
    assert (await any_lab.cells(tenant="acme"))["abcdefgh234567ab", "lead"]["input_tokens"] == 3
    changes = any_lab.plane.changes
    assert changes.revision("acme") == 2
