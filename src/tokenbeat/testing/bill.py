"""The model server's bill: every request that was charged, kept by request.

This is the truth that everything else is compared with. A request is charged from the moment its
answer begins, whether or not the client stays to read it: providers bill what they generate.
"""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from tokenbeat.testing.answer import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tokenbeat.testing.asked import Api, Operation

_Key = TypeVar("_Key")
Ended = Literal["running", "ok", "error", "cut", "client_gone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BillEntry:
    """One charged request."""

    request_id: str
    """Unique in this server; also in the answer's request-id header."""
    response_id: str
    """The id in the answer's body (``chatcmpl-…``, ``resp_…``, ``msg_…``)."""
    api: Api
    operation: Operation
    label: str | None
    """Whose request it was: a tag in the request, else the matching rule's label, else the user."""
    request_model: str
    response_model: str
    stream: bool
    items: int
    """Prompts or inputs in the request."""
    choices: int
    """Candidates asked for with each of them."""
    asked_for_usage: bool
    """Whether this client would be told usage: false for a stream without ``include_usage``."""
    usage: Usage
    """What is charged, each token once, cached input within input."""
    reported: Mapping[str, object]
    """The usage in the provider's own words, as the answer's body has it."""
    ended: Ended = "running"
    """How the answer ended: ``cut`` by the server, or ``client_gone`` before it was complete."""
    told: bool = False
    """Whether the final usage was handed to the client's connection."""
    told_input_tokens: int = 0
    """How much of the input the client could know of (Anthropic tells it when a stream begins)."""
    told_output_tokens: int = 0
    """How much of the output the client could know of."""

    @property
    def model(self) -> str:
        """The answered model's name."""
        return self.response_model

    @property
    def input_tokens(self) -> int:
        """Charged input, cached input included."""
        return self.usage.input_tokens

    @property
    def output_tokens(self) -> int:
        """Charged output, reasoning included."""
        return self.usage.output_tokens

    @property
    def total_tokens(self) -> int:
        """Charged input + output + unclassified."""
        return self.usage.total_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRequest:
    """One request that got an error before anything was generated: nothing was charged."""

    request_id: str
    api: Api
    label: str | None
    request_model: str | None
    """``None`` where the request could not be read."""
    stream: bool
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BillTotal:
    """A sum of charged requests."""

    requests: int
    usage: Usage

    @property
    def input_tokens(self) -> int:
        """Charged input, cached input included."""
        return self.usage.input_tokens

    @property
    def output_tokens(self) -> int:
        """Charged output, reasoning included."""
        return self.usage.output_tokens

    @property
    def total_tokens(self) -> int:
        """Charged input + output + unclassified."""
        return self.usage.total_tokens


class Bill:
    """All entries of a server. Safe to use from any thread; what it returns never changes."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.RLock())
        self._entries: dict[str, BillEntry] = {}
        self._refused: list[RefusedRequest] = []

    @property
    def entries(self) -> tuple[BillEntry, ...]:
        """Every charged request, in the order in which their answers began."""
        with self._changed:
            return tuple(self._entries.values())

    @property
    def refused(self) -> tuple[RefusedRequest, ...]:
        """Every request that was answered by an error and not charged."""
        with self._changed:
            return tuple(self._refused)

    @property
    def total(self) -> BillTotal:
        """Everything charged."""
        return _total(self.entries)

    @property
    def input_tokens(self) -> int:
        """All charged input, cached input included."""
        return self.total.input_tokens

    @property
    def output_tokens(self) -> int:
        """All charged output, reasoning included."""
        return self.total.output_tokens

    @property
    def total_tokens(self) -> int:
        """All charged tokens, each once."""
        return self.total.total_tokens

    def by_model(self) -> dict[str, BillTotal]:
        """Totals by the answered model's name."""
        return _grouped(self.entries, key=lambda entry: entry.response_model)

    def by_label(self) -> dict[str | None, BillTotal]:
        """Totals by label; requests without one are under ``None``."""
        return _grouped(self.entries, key=lambda entry: entry.label)

    def by_model_and_label(self) -> dict[tuple[str, str | None], BillTotal]:
        """Totals by the answered model's name and label."""
        return _grouped(self.entries, key=lambda entry: (entry.response_model, entry.label))

    def wait_until(self, reached: Callable[[Bill], bool], *, timeout_s: float = 5.0) -> bool:
        """Wait until ``reached(bill)`` holds; whether it did within ``timeout_s`` seconds.

        A client that leaves a stream is noticed by the server a moment later:
        ``bill.wait_until(lambda bill: bill.entries[0].ended == "client_gone")``.
        """
        with self._changed:
            return self._changed.wait_for(lambda: reached(self), timeout=timeout_s)

    def wait_until_settled(self, *, timeout_s: float = 5.0) -> bool:
        """Wait until no charged answer is still running; whether that was so in time."""
        return self.wait_until(
            lambda bill: all(entry.ended != "running" for entry in bill.entries),
            timeout_s=timeout_s,
        )

    def clear(self) -> BillSnapshot:
        """Empty the bill and return what stood on it, in one step."""
        with self._changed:
            taken = BillSnapshot(entries=self.entries, refused=self.refused)
            self._entries.clear()
            self._refused.clear()
            self._changed.notify_all()
            return taken

    def snapshot(self) -> BillSnapshot:
        """Entries and refusals of one moment."""
        with self._changed:
            return BillSnapshot(entries=self.entries, refused=self.refused)

    def charge(self, entry: BillEntry) -> None:
        """Enter a request whose answer begins."""
        with self._changed:
            self._entries[entry.request_id] = entry
            self._changed.notify_all()

    def refuse(self, request: RefusedRequest) -> None:
        """Note a request that was answered by an error."""
        with self._changed:
            self._refused.append(request)
            self._changed.notify_all()

    def tell(self, request_id: str, *, input_tokens: int, output_tokens: int, final: bool) -> None:
        """Note what the client's connection has been given of a request's usage."""
        with self._changed:
            entry = self._entries.get(request_id)
            if entry is not None:  # the bill may have been cleared in between
                self._entries[request_id] = replace(
                    entry,
                    told=entry.told or final,
                    told_input_tokens=input_tokens,
                    told_output_tokens=output_tokens,
                )
                self._changed.notify_all()

    def close(self, request_id: str, *, ended: Ended) -> None:
        """Note how an answer ended; its first end stands."""
        with self._changed:
            entry = self._entries.get(request_id)
            if entry is not None and entry.ended == "running":
                self._entries[request_id] = replace(entry, ended=ended)
                self._changed.notify_all()


@dataclass(frozen=True, slots=True, kw_only=True)
class BillSnapshot:
    """A bill at one moment, and its JSON form."""

    entries: tuple[BillEntry, ...]
    refused: tuple[RefusedRequest, ...]

    def as_json(self) -> dict[str, Any]:
        """Entries, refusals, and totals in all and by model, by label and by both."""
        by_both = _grouped(self.entries, key=lambda entry: (entry.response_model, entry.label))
        return {
            "entries": [
                {**asdict(entry), "total_tokens": entry.total_tokens} for entry in self.entries
            ],
            "refused": [asdict(request) for request in self.refused],
            "total": _total_json(_total(self.entries)),
            "by_model": [
                {"model": model, **_total_json(total)}
                for model, total in _grouped(self.entries, key=lambda e: e.response_model).items()
            ],
            "by_label": [
                {"label": label, **_total_json(total)}
                for label, total in _grouped(self.entries, key=lambda e: e.label).items()
            ],
            "by_model_and_label": [
                {"model": model, "label": label, **_total_json(total)}
                for (model, label), total in by_both.items()
            ],
        }


def _total(entries: tuple[BillEntry, ...]) -> BillTotal:
    return BillTotal(
        requests=len(entries), usage=sum((entry.usage for entry in entries), start=Usage())
    )


def _total_json(total: BillTotal) -> dict[str, Any]:
    return {
        "requests": total.requests,
        **asdict(total.usage),
        "total_tokens": total.total_tokens,
    }


def _grouped(
    entries: tuple[BillEntry, ...], *, key: Callable[[BillEntry], _Key]
) -> dict[_Key, BillTotal]:
    groups: dict[_Key, list[BillEntry]] = {}
    for entry in entries:
        groups.setdefault(key(entry), []).append(entry)
    return {name: _total(tuple(members)) for name, members in groups.items()}
