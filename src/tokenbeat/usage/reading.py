"""Collects the counts of one report, each checked once, before anybody asks what they mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from tokenbeat.usage import names

if TYPE_CHECKING:
    from typing import TypeAlias

    Group: TypeAlias = Mapping[str, object]


def group_of(value: object) -> Group | None:
    """The fields of a mapping, or of an object that has some; else None."""
    if type(value) is dict:
        return cast("Group", value)
    if isinstance(value, Mapping):
        return cast("Group", value)
    if value is None or isinstance(value, (str, bytes, int, float, Sequence, type)):
        return None
    try:
        fields = vars(value)  # pydantic models and dataclasses, without running code of theirs
    except TypeError:
        return None
    try:
        # Where a pydantic model keeps what its class does not name: an older client is told new
        # fields there, such as OpenAI's cache_write_tokens.
        unnamed = object.__getattribute__(value, "__pydantic_extra__")
    except AttributeError:
        return fields
    return {**fields, **cast("Group", unnamed)} if isinstance(unnamed, dict) else fields


class Reading:
    """What one report has told so far, by field of `TokenUsage` or by a name in `names.APART`.

    Args:
        most: The greatest believable count of tokens.
        whole_floats: Whether 12.0 is the integer 12 here.
    """

    __slots__ = ("anomalies", "compactions", "malformed", "most", "told", "whole_floats")

    def __init__(self, *, most: int, whole_floats: bool) -> None:
        self.told: dict[str, int] = {}
        self.anomalies: list[str] = []
        self.malformed = False
        self.most = most
        self.whole_floats = whole_floats
        self.compactions: list[Group] = []

    def read(self, group: Group) -> None:
        """Collects the counts of a report, and of the groups in it."""
        told, most = self.told, self.most
        fields, groups = names.COUNTS, names.GROUPS
        for key, value in group.items():
            if value is None:
                continue
            field = fields.get(key)
            if field is not None:
                if type(value) is int and 0 <= value <= most and field not in told:
                    told[field] = value
                else:
                    self._take(field, value)
            elif key in groups:
                self._read_group(key, value)

    def _read_group(self, key: str, value: object) -> None:
        fields = names.DETAILS.get(key)
        inner = group_of(value)
        if fields is not None and inner is not None:
            told, most = self.told, self.most
            for detail, count in inner.items():
                field = fields.get(detail)
                if field is None or count is None:
                    continue
                if type(count) is int and 0 <= count <= most and field not in told:
                    told[field] = count
                else:
                    self._take(field, count)
            if key == names.LIFETIMES_BESIDE:
                self.told.setdefault(names.WRITE_BESIDE, 0)
        elif key in names.BILLED_BLOCKS:
            self._read_billed(key, inner)
        elif isinstance(value, (list, tuple)):
            self._read_list(key, cast("Sequence[object]", value))
        else:
            self._doubt("not_a_group", key)

    def _read_billed(self, key: str, inner: Group | None) -> None:
        if inner is None:
            return  # other providers use the same words for other things
        other = Reading(most=self.most, whole_floats=self.whole_floats)
        other.read({name: inner.get(name) for name in ("input_tokens", "output_tokens")})
        self.anomalies.extend(other.anomalies)
        self.malformed = self.malformed or other.malformed
        if key == names.BILLED_BLOCKS[0]:
            self.told.update(other.told)
        else:
            self.told = {**other.told, **self.told}

    def _read_list(self, key: str, entries: Sequence[object]) -> None:
        modalities = names.MODALITIES.get(key, {})
        for entry in entries:
            inner = group_of(entry)
            if inner is None:
                self._doubt("not_a_group", key)
            elif key == names.ITERATIONS:
                if inner.get("type") == "compaction":
                    # Without a list of its own: nothing that is read here can nest for ever.
                    self.compactions.append(
                        {name: inner[name] for name in inner if name != names.ITERATIONS}
                    )
            else:
                modality = inner.get("modality")
                field = modalities.get(modality) if isinstance(modality, str) else None
                count = inner.get("tokenCount", inner.get("token_count"))
                if field is not None and count is not None:
                    self._take(field, count)

    def _take(self, field: str, value: object) -> None:
        """A count that is doubtful, or told for a second time: the greater one holds."""
        if isinstance(value, bool):
            self._doubt("boolean", field)
        elif isinstance(value, int):
            count = int.__pos__(value)  # an exact int, whatever subclass it came as
            if count < 0:
                self._doubt("negative", field)
            elif count > self.most:
                self._doubt("absurd", field)
            else:
                self.told[field] = max(count, self.told.get(field, 0))
        elif self.whole_floats and isinstance(value, float) and value.is_integer():
            self._take(field, int(value))
        else:
            self._doubt("not_an_integer", field)

    def _doubt(self, reason: str, field: str) -> None:
        self.anomalies.append(f"{reason}:{field}")
        self.malformed = True
