"""Finds what a 422 named, so that everything else can go on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tokenbeat.heartbeat.holding import ItemId, read_place

if TYPE_CHECKING:
    from tokenbeat.heartbeat.account import Account
    from tokenbeat.heartbeat.composing import Outgoing
    from tokenbeat.heartbeat.holding import Place
    from tokenbeat.heartbeat.packing import Packed

_USAGE_MODEL: Final = re.compile(r"usage\.models\[(\d+)\](?:\..*)?")


def isolate(
    account: Account, outgoing: Outgoing, *, field: str, largest: int | None, now_ns: int
) -> bool:
    """Hold back or cap what ``field`` belongs to.

    Args:
        account: Whose beat it was.
        outgoing: The beat that was refused.
        field: The field's path as the server named it.
        largest: The largest value that it would take there, if it said so.
        now_ns: Monotonic time: nanoseconds.

    Returns:
        Whether the next beat differs; False where the field is none that can be left out.
    """
    model = _USAGE_MODEL.fullmatch(field)
    if model is not None:
        return _leave_out_model(account, outgoing, index=int(model[1]))
    place = read_place(field)
    packed = outgoing.packed
    if place is None or packed is None:
        return False
    item = _item_at(packed, place)
    if item is not None:
        account.holds.refuse(item, rest=place.rest, largest=largest, now_ns=now_ns)
        return True
    if not place.of_runs and place.inner is None and place.outer < len(packed.cuts) - 1:
        before, account.last_cut_only = account.last_cut_only, True
        return not before
    return False


def _leave_out_model(account: Account, outgoing: Outgoing, *, index: int) -> bool:
    models = outgoing.window.usage.models
    if index >= len(models):
        return False
    account.refused_models |= {models[index].model_id}
    return True


def _item_at(packed: Packed, place: Place) -> ItemId | None:
    if place.of_runs:
        if place.outer >= len(packed.run_places):
            return None
        head, cells = packed.run_places[place.outer]
        if place.inner is None:
            return head
    elif place.outer < len(packed.cut_places):
        cells = packed.cut_places[place.outer]
    else:
        return None
    if place.inner is None or place.inner >= len(cells):
        return None
    return cells[place.inner]
