"""Commands find the running mesh, and only a running one; its keys make tokens that are accepted."""

import stat
from datetime import timedelta
from pathlib import Path

import pytest

from libs.cli.config import Surroundings
from libs.cli.files import last_lines, shorten_log, start_log
from libs.cli.instance import AlreadyRunning, DataDir, NotRunning, ProcessRecord, RunRecord, find, point_at
from libs.cli.keys import Bearer, make_keys, token_for
from libs.common.config import ProcessSettings
from libs.common.errors import Refused
from libs.common.identity import Verifier

RECORD = RunRecord(
    pid=1,
    base_url="http://127.0.0.1:8080",
    simulators={"netsuite": "http://127.0.0.1:5301"},
    processes=(
        ProcessRecord("order", "service", "ready", 7, "127.0.0.1:5101", 0, ("python", "-m", "x"), "log"),
    ),
)


@pytest.fixture
def around(tmp_path: Path) -> Surroundings:
    (tmp_path / "elsewhere").mkdir()
    return Surroundings(ProcessSettings(), {}, tmp_path / "state", tmp_path / "elsewhere")


def test_a_data_directory_belongs_to_one_mesh_at_a_time(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    with data.lock(), pytest.raises(AlreadyRunning):
        data.lock()
    data.lock().close()


def test_a_mesh_is_seen_running_while_it_holds_its_lock(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    seen = [data.is_running]
    with data.lock():
        seen.append(data.is_running)
    seen.append(data.is_running)
    assert seen == [False, True, False]


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    assert data.read() is None
    data.write(RECORD)
    assert data.read() == RECORD
    data.run_file.write_text('{"pid": 1}')
    assert data.read() is None


def test_the_mesh_started_last_is_found_without_naming_it(tmp_path: Path, around: Surroundings) -> None:
    data = DataDir(tmp_path / "with space")
    with pytest.raises(NotRunning, match="ordermesh up"):
        find(None, around)
    with data.lock():
        data.write(RECORD)
        point_at(data, around)
        assert find(None, around) == (data, RECORD)


def test_the_mesh_of_this_directory_comes_before_the_one_started_last(
    tmp_path: Path, around: Surroundings
) -> None:
    last, here = DataDir(tmp_path / "last"), DataDir(around.working_directory / ".ordermesh")
    with last.lock(), here.lock():
        for data in (last, here):
            data.write(RECORD)
        point_at(last, around)
        assert find(None, around)[0] == here
        assert find(tmp_path / "last", around)[0] == last


def test_a_mesh_that_has_ended_is_not_found(tmp_path: Path, around: Surroundings) -> None:
    data = DataDir(tmp_path / "data")
    data.lock().close()
    data.write(RECORD)
    with pytest.raises(NotRunning, match="no mesh is running on"):
        find(data.root, around)


def test_tokens_of_the_development_keys_are_accepted_and_outlive_a_restart(tmp_path: Path) -> None:
    files = DataDir(tmp_path).keys
    make_keys(files)
    settings = ProcessSettings(jwks_file=files.public)
    bearer = Bearer("acme", "salesforce", ("integration", "support_operator"), "flow")
    token = token_for(files, bearer, settings, timedelta(hours=1))
    make_keys(files)

    identity = Verifier(settings).verify(token)

    assert (identity.tenant, identity.system, identity.subject) == ("acme", "salesforce", "flow")
    assert identity.roles == {"integration", "support_operator"}
    assert stat.S_IMODE(files.issuer.stat().st_mode) == stat.S_IMODE(files.mesh.stat().st_mode) == 0o600


def test_a_token_of_another_mesh_is_refused(tmp_path: Path) -> None:
    ours, theirs = DataDir(tmp_path / "ours").keys, DataDir(tmp_path / "theirs").keys
    for files in (ours, theirs):
        make_keys(files)
    settings = ProcessSettings(jwks_file=ours.public)
    with pytest.raises(Refused, match="UNAUTHENTICATED"):
        Verifier(settings).verify(token_for(theirs, Bearer(), settings, timedelta(hours=1)))


def test_an_unknown_role_is_refused(tmp_path: Path) -> None:
    files = DataDir(tmp_path).keys
    make_keys(files)
    with pytest.raises(ValueError, match="no such role: king"):
        token_for(files, Bearer(roles=("king",)), ProcessSettings(), timedelta(hours=1))


def test_the_log_of_the_run_before_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "order.log"
    for line in ("first", "second", "third"):
        start_log(log)
        log.write_text(line)
    assert log.read_text() == "third"
    assert (tmp_path / "order.log.1").read_text() == "second"


def test_a_long_log_is_cut_while_it_is_written_to(tmp_path: Path) -> None:
    log = tmp_path / "order.log"
    with log.open("a") as writer:
        writer.write("old " * 1000)
        writer.flush()
        shorten_log(log, bytes_max=100)
        writer.write("new\n")
    assert log.read_text() == "new\n"
    assert (tmp_path / "order.log.1").read_text().startswith("old")


def test_the_end_of_a_log_is_shown(tmp_path: Path) -> None:
    log = tmp_path / "order.log"
    assert last_lines(log, 2) == []
    log.write_text("one\ntwo\nthree\n")
    assert last_lines(log, 2) == ["two", "three"]
