"""What of a snapshot goes into one beat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokenbeat.heartbeat.holding import Holds, ItemId
from tokenbeat.heartbeat.limits import MESSAGE_BYTES
from tokenbeat.heartbeat.packing import Packed, Packer
from tokenbeat.heartbeat.settled import Settled

if TYPE_CHECKING:
    from tokenbeat.ledger.books import Ledger


def packed(ledger: Ledger, *, base: int) -> Packed:
    """All that fits of a snapshot that lists more than changed after the base."""
    settled = Settled()
    packer = Packer(
        snapshot=ledger.snapshot(),
        base=base,
        holds=Holds(),
        now_ns=0,
        skip_cuts_to_ns=0,
        acknowledged_change=settled.changed,
        offsets={},
    )
    return packer.pack(room_bytes=MESSAGE_BYTES)


def test_what_the_server_holds_already_is_left_out(rig: Any) -> None:
    rig.call(100, 20, model="old", run="one")
    rig.call(5, 1, model="old", run="two")
    base = rig.ledger.revision
    rig.call(7, 1, model="new", run="one")
    beat = packed(rig.ledger, base=base)
    cuts: list[Any] = beat.cuts
    runs: list[Any] = beat.runs
    cells = [cell for cut in cuts for cell in cut["cells"]]
    assert [cell["requestModel"] for cell in cells] == ["new"]
    assert [run["run"] for run in runs] == ["one"]
    assert [cell["requestModel"] for cell in runs[0]["cells"]] == ["new"]
    assert (beat.revision, beat.complete) == (rig.ledger.revision, True)
    assert all(isinstance(item, ItemId) for item in beat.sent)


def test_labels_that_take_too_much_room_stay_behind_and_the_run_goes(rig: Any) -> None:
    labels = {f"{number:02}" + "🎉" * 126: "🎉" * 128 for number in range(16)}
    rig.ledger.open_run(run_id="r", user="u", labels=labels)
    (run,) = packed(rig.ledger, base=0).runs
    assert run["user"] == "u"
    kept: Any = run["labels"]
    assert 0 < len(kept) < 16
    assert list(kept) == list(labels)[: len(kept)]
