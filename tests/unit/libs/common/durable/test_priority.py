"""What nobody waits for gives way to what answers callers, as far as the machine permits."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from libs.common.durable.priority import nice_of

ROOT = Path(__file__).resolve().parents[5]
PATHS = {"PYTHONPATH": f"{ROOT}:{ROOT / 'protos' / 'gen'}"}
ENDS_SECONDS = 120
GIVE_WAY = """
import asyncio, os, sys
from pathlib import Path, PosixPath
from libs.common.config import ProcessSettings
from libs.common.durable import priority
from libs.common.logging import start_logging

class Busy(PosixPath):
    refusals = 2

    def read_text(self):
        return "/autogroup-1 nice 0"

    def exists(self):
        return True

    def write_text(self, text):
        if Busy.refusals:
            Busy.refusals -= 1
            raise BlockingIOError("ask again")
        print('{"event": "written", "text": "%s"}' % text)

start_logging(ProcessSettings(), "test")
for nice in map(int, sys.argv[2:]):
    asyncio.run(priority.give_way(nice, autogroup=Busy() if sys.argv[1] == "busy" else Path(sys.argv[1])))
print('{"event": "still there", "nice": %d}' % os.getpriority(os.PRIO_PROCESS, 0))
"""


def given_way(autogroup: str, *nice: int, session: bool = True) -> list[dict[str, object]]:
    """What a process says that is told to give way, each time further in turn."""
    ended = subprocess.run(
        [sys.executable, "-c", GIVE_WAY, autogroup, *map(str, nice)],
        env=PATHS,
        start_new_session=session,
        check=True,
        timeout=ENDS_SECONDS,
        stdout=subprocess.PIPE,
    )
    return [json.loads(line) for line in ended.stdout.splitlines()]


def our_own() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


@contextmanager
def process(word: str, **settings: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process of a service, in a session of its own."""
    environment = {
        **PATHS,
        "ORDERMESH_DATABASE_URL": "postgresql+asyncpg://nobody@127.0.0.1:1/none",
        **settings,
    }
    command = [sys.executable, "-m", "services.order", word]
    with subprocess.Popen(
        command, env=environment, start_new_session=True, stdout=subprocess.PIPE
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def test_a_relay_stands_behind_those_that_answer_in_its_session_and_as_a_session() -> None:
    with process("relay", ORDERMESH_BACKGROUND_NICE="19") as relay:
        assert relay.stdout is not None
        said = next(line for line in map(json.loads, relay.stdout) if line["event"].endswith("way"))

        assert os.getpriority(os.PRIO_PROCESS, relay.pid) == max(9, our_own())
        if said.get("session") == "lowered":
            assert Path(f"/proc/{relay.pid}/autogroup").read_text().split()[-1] == "9"


def test_who_answers_callers_never_gives_way() -> None:
    assert [nice_of(word, 19) for word in ("serve", "all", "migrate")] == [0, 0, 0]
    assert given_way("busy", 0) == [{"event": "still there", "nice": our_own()}]


def test_the_relay_gives_way_but_less_than_what_takes_changes_in() -> None:
    assert 0 < nice_of("relay", 10) < nice_of("ingest", 10) == 10
    assert nice_of("relay", 0) == nice_of("ingest", 0) == 0


def test_a_process_that_stands_behind_already_is_not_raised() -> None:
    assert given_way("busy", 19, 5)[-1] == {"event": "still there", "nice": 19}


def test_a_machine_that_does_not_permit_it_is_worth_a_line_in_the_log_and_nothing_more() -> None:
    *said, last = given_way("/", 7)

    assert [line["event"] for line in said] == ["cannot_give_way"]
    assert last["event"] == "still there"


@pytest.mark.parametrize("autogroup", ["/nowhere/autogroup", "/dev/null"])
def test_where_nothing_groups_sessions_the_process_alone_stands_behind(autogroup: str) -> None:
    said, last = given_way(autogroup, 7)

    assert (said["event"], said["session"]) == ("gives_way", "not grouped")
    assert last["nice"] == max(7, our_own())


def test_a_kernel_that_is_busy_is_asked_again() -> None:
    written, said, _ = given_way("busy", 7)

    assert (written["event"], written["text"]) == ("written", "7")
    assert (said["event"], said["session"]) == ("gives_way", "lowered")


def test_a_session_that_others_share_is_left_alone() -> None:
    """A shell's session, for example, in which services that answer may run, too."""
    said, last = given_way("busy", 7, session=False)

    assert (said["event"], said["session"]) == ("gives_way", "shared")
    assert last["nice"] == max(7, our_own())
