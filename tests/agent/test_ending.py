"""The end of a process: SIGTERM, a normal exit, and other people's handlers."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def run(program: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "program.py"
    file.write_text(textwrap.dedent(program), encoding="utf-8")
    return subprocess.run(
        [sys.executable, str(file)], capture_output=True, text=True, timeout=60, check=False
    )


BEGIN = """
import os, signal, sys, threading, time
from tokenbeat.agent.ending import Ending
def finish():
    print("finished", flush=True)
ending = Ending(finish)
"""


def test_a_normal_exit_finishes_once(tmp_path: Path) -> None:
    done = run(BEGIN + "ending.begin()", tmp_path)
    assert (done.returncode, done.stdout) == (0, "finished\n")


def test_sigterm_finishes_and_then_kills_as_it_would_have(tmp_path: Path) -> None:
    done = run(BEGIN + "ending.begin(); os.kill(os.getpid(), signal.SIGTERM)", tmp_path)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "finished\n")


def test_sigterm_does_more_where_nobody_else_will(tmp_path: Path) -> None:
    program = """
    ending = Ending(finish, killed=lambda: print("and flushed", flush=True))
    ending.begin()
    os.kill(os.getpid(), signal.SIGTERM)
    """
    done = run(BEGIN + textwrap.dedent(program), tmp_path)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "and flushed\n")


def test_a_finish_that_waits_for_the_interrupted_thread_is_given_up(tmp_path: Path) -> None:
    program = """
    import tokenbeat.agent.ending as module
    module.FINAL_SECONDS = 0.2
    lock = threading.Lock()
    ending = Ending(lambda: lock.acquire())
    ending.begin()
    with lock:
        os.kill(os.getpid(), signal.SIGTERM)
    """
    done = run(BEGIN + textwrap.dedent(program), tmp_path)
    assert done.returncode == -signal.SIGTERM


def test_an_applications_own_handler_stays(tmp_path: Path) -> None:
    program = """
    signal.signal(signal.SIGTERM, lambda *_: print("mine", flush=True))
    ending.begin()
    os.kill(os.getpid(), signal.SIGTERM)
    """
    done = run(BEGIN + textwrap.dedent(program), tmp_path)
    assert (done.returncode, done.stdout) == (0, "mine\nfinished\n")


@pytest.mark.parametrize(("where", "said"), [("main", ""), ("thread", "")])
def test_what_was_cancelled_does_nothing(tmp_path: Path, where: str, said: str) -> None:
    program = {
        "main": "ending.begin(); ending.cancel()",
        "thread": "t = threading.Thread(target=ending.begin); t.start(); t.join(); ending.cancel()",
    }[where]
    done = run(
        BEGIN + program + "\nassert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL", tmp_path
    )
    assert (done.returncode, done.stdout) == (0, said), done.stderr


def test_a_forked_child_does_not_finish_for_its_parent(tmp_path: Path) -> None:
    program = """
    ending.begin()
    child = os.fork()
    if child == 0:
        sys.exit(0)
    os.waitpid(child, 0)
    """
    done = run(BEGIN + textwrap.dedent(program), tmp_path)
    assert (done.returncode, done.stdout) == (0, "finished\n")
