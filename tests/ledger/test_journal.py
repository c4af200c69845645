"""The journal file: one write a record, private, lazy, locked, and read back as it was."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
from typing import TYPE_CHECKING

import pytest

from tokenbeat.clock import SYSTEM_CLOCK, ManualClock
from tokenbeat.ledger.books import Ledger
from tokenbeat.ledger.errors import JournalTooNew, MalformedRecord, NotAJournal
from tokenbeat.ledger.journal import FileJournal
from tokenbeat.ledger.records import FORMAT_VERSION, Opened, decode, encode
from tokenbeat.ledger.replay import replay
from tokenbeat.ledger.report import CallToken
from tokenbeat.usage.caller import Caller
from tokenbeat.usage.counts import total_tokens
from tokenbeat.usage.tokens import TokenUsage

if TYPE_CHECKING:
    from pathlib import Path

LEAD = Caller().child("lead_agent", "lead")


def call(ledger: Ledger, tokens: int, *, times: int = 1) -> None:
    for _ in range(times):
        report = ledger.start(
            source="fw", operation="chat", provider="openai", request_model="gpt-4o", caller=LEAD,
            member_of=CallToken(),
        )  # fmt: skip
        ledger.end(report, outcome="ok", usage=TokenUsage(input_tokens=tokens))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "service" / "a.journal"


@pytest.fixture
def journal(path: Path) -> FileJournal:
    return FileJournal(path, incarnation="a" * 16, service="svc", started_ns=7)


@pytest.fixture
def ledger(journal: FileJournal) -> Ledger:
    return Ledger(incarnation="a" * 16, clock=ManualClock(), journal=journal)


def test_a_process_that_calls_no_model_leaves_no_trace(ledger: Ledger, path: Path) -> None:
    ledger.snapshot()
    assert not path.parent.parent.exists()


def test_file_and_folder_are_private(ledger: Ledger, path: Path) -> None:
    call(ledger, 1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_records_go_to_the_journal_that_was_attached(journal: FileJournal, path: Path) -> None:
    ledger = Ledger(incarnation="a" * 16, clock=ManualClock())
    assert ledger.journal is None
    ledger.attach_journal(journal)
    assert ledger.journal is journal
    call(ledger, 10)
    assert total_tokens(replay(path).accounts.totals) == 10


def test_the_file_is_locked_while_its_process_lives(
    ledger: Ledger, journal: FileJournal, path: Path
) -> None:
    call(ledger, 1)
    with path.open("rb") as other:
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        journal.close()
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_what_was_counted_is_on_disk_when_the_call_returns(ledger: Ledger, path: Path) -> None:
    for tokens in (10, 20):
        call(ledger, tokens)
        replayed = replay(path)
        assert replayed.accounts.totals == ledger.snapshot().totals
        assert replayed.revision == ledger.revision
    assert replayed.opened == Opened("a" * 16, 7, "svc")
    assert ledger.snapshot().books.journal_bytes == path.stat().st_size


def test_eight_threads_write_whole_lines_and_replay_to_the_same_books(
    journal: FileJournal, path: Path
) -> None:
    ledger = Ledger(incarnation="a" * 16, clock=SYSTEM_CLOCK, journal=journal)
    threads = [threading.Thread(target=lambda: call(ledger, 7, times=250)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    replayed = replay(path)
    assert (replayed.missing, replayed.damaged) == ((), {})
    assert total_tokens(replayed.accounts.totals) == 8 * 250 * 7
    assert ledger.snapshot().revision == replayed.revision == 8 * 250 * 2


def test_a_torn_last_line_is_no_damage_and_loses_only_itself(ledger: Ledger, path: Path) -> None:
    call(ledger, 10)
    call(ledger, 20)
    path.write_bytes(path.read_bytes()[:-5])
    replayed = replay(path)
    assert replayed.damaged == {}
    assert total_tokens(replayed.accounts.totals) == 10
    assert len(replayed.accounts.open) == 1


def test_a_damaged_line_is_reported_and_what_follows_is_read(ledger: Ledger, path: Path) -> None:
    for tokens in (10, 20, 30):
        call(ledger, tokens)
    lines = path.read_bytes().split(b"\n")
    lines[4] = lines[4].replace(b"20", b"99")
    path.write_bytes(b"\n".join(lines))
    replayed = replay(path)
    assert replayed.damaged == {5: "checksum does not match"}
    assert (replayed.missing, replayed.revision) == ((4,), 3)
    assert total_tokens(replayed.accounts.totals) == 40


def test_what_is_no_record_of_the_books_is_passed_over(
    ledger: Ledger, journal: FileJournal, path: Path
) -> None:
    call(ledger, 10)
    journal.append(b"\n")
    journal.append(encode(Opened("a" * 16, 0, "svc")))
    call(ledger, 20)
    replayed = replay(path)
    assert (replayed.damaged, total_tokens(replayed.accounts.totals)) == ({}, 30)


def test_a_journal_that_was_never_written_can_be_closed(journal: FileJournal, path: Path) -> None:
    journal.close()
    assert not path.exists()


def test_a_journal_of_a_later_format_is_refused_naming_both(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(encode(Opened("a" * 16, 0, "svc", FORMAT_VERSION + 1)))
    with pytest.raises(JournalTooNew, match=f"format {FORMAT_VERSION + 1}.*up to {FORMAT_VERSION}"):
        replay(path)


@pytest.mark.parametrize("content", [b"", b"hello\n", b"00000000 {}\n"])
def test_a_file_that_is_no_journal_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(NotAJournal, match="opening record"):
        replay(path)


def test_a_journal_that_begins_with_another_record_is_refused(tmp_path: Path, path: Path) -> None:
    ledger = Ledger(
        incarnation="a" * 16,
        clock=ManualClock(),
        journal=FileJournal(path, incarnation="a" * 16, service="s", started_ns=0),
    )
    call(ledger, 1)
    headless = tmp_path / "headless"
    headless.write_bytes(b"\n".join(path.read_bytes().split(b"\n")[1:]))
    with pytest.raises(NotAJournal):
        replay(headless)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"short", "no checksum"),
        (b"00000000 {}", "checksum does not match"),
        (encode(Opened("a", 0, "s")).replace(b'"t":"open"', b'"t":"nope"'), "checksum"),
    ],
)
def test_a_line_that_is_no_record_says_why(line: bytes, reason: str) -> None:
    with pytest.raises(MalformedRecord, match=reason):
        decode(line)


def _checksummed(body: bytes) -> bytes:
    from zlib import crc32  # noqa: PLC0415 only here

    return b"%08x %b" % (crc32(body), body)


def test_a_line_of_another_kind_or_shape_says_so() -> None:
    with pytest.raises(MalformedRecord, match="unknown kind"):
        decode(_checksummed(b'{"t":"later","o":1,"at":1}'))
    with pytest.raises(MalformedRecord, match="KeyError"):
        decode(_checksummed(b'{"t":"end"}'))


def test_a_disk_that_refuses_is_told_once_and_counting_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a file where a folder should be")
    journal = FileJournal(blocked / "x", incarnation="a" * 16, service="s", started_ns=0)
    ledger = Ledger(incarnation="a" * 16, clock=ManualClock(), journal=journal)
    for tokens in (10, 20):
        call(ledger, tokens)
    snapshot = ledger.snapshot()
    assert total_tokens(snapshot.totals) == 30
    assert snapshot.books.degraded
    assert snapshot.books.journal_errors == 4
    assert len([r for r in caplog.records if "counting goes on in memory" in r.message]) == 1


def test_two_threads_that_write_first_open_one_file(
    journal: FileJournal, path: Path, tmp_path: Path
) -> None:
    mine = os.open(tmp_path / "opened-by-the-other-thread", os.O_WRONLY | os.O_CREAT)
    with journal._lock:
        thread = threading.Thread(target=journal.append, args=(b"x\n",))
        thread.start()
        journal._file = mine
    thread.join()
    assert not path.exists()
    assert (tmp_path / "opened-by-the-other-thread").read_bytes() == b"x\n"
    journal.close()


def test_a_short_write_loses_only_its_own_record(
    journal: FileJournal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file system that fills up in the middle of a write cannot be had without privileges.
    lines = [encode(Opened("a", n, "s")) for n in range(3)]
    journal.append(lines[0])
    write = os.write

    def short(file: int, data: bytes) -> int:
        return write(file, data[:10])

    monkeypatch.setattr(os, "write", short)
    with pytest.raises(OSError, match="10 of"):
        journal.append(lines[1])
    monkeypatch.undo()
    journal.append(lines[2])
    kept = path.read_bytes().split(b"\n")
    assert kept[1] + b"\n" == lines[0]
    assert kept[2] == lines[1][:10]
    assert kept[3] + b"\n" == lines[2]


@pytest.mark.parametrize(("policy", "synced"), [("always", 3), ("interval", 1), ("never", 0)])
def test_the_fsync_policy_decides_when_the_disk_is_asked(
    path: Path, monkeypatch: pytest.MonkeyPatch, policy: str, synced: int
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(os, "fsync", calls.append)  # a power loss cannot be had
    journal = FileJournal(
        path, incarnation="a", service="s", started_ns=0,
        fsync=policy,  # type: ignore[arg-type]  # a parameter of three known values
    )  # fmt: skip
    journal.sync()
    for _ in range(3):
        journal.append(b"x\n")
    journal.sync()
    assert len(calls) == synced


def test_a_file_that_cannot_take_its_opening_record_is_closed_again(
    journal: FileJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "no space left", f"{file} {len(data)}")

    monkeypatch.setattr(os, "write", full)  # a full disk cannot be had without privileges
    with pytest.raises(OSError, match="no space left"):
        journal.append(b"x\n")
