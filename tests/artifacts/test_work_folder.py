import errno
import json
import multiprocessing
import os
import platform
import shutil
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from clusterkit.artifacts import work_folder
from clusterkit.artifacts.files import check_place, together
from clusterkit.artifacts.work_folder import LOCK, held
from clusterkit.console import set_up
from clusterkit.errors import InputError

WORK = Path("outer") / "work"


def hold(folder: Path, pipe: Connection) -> None:
    with held(folder, "clusterkit train-g"):
        pipe.send(os.getpid())
        pipe.recv()


@pytest.fixture
def other():
    """Another process that holds a folder until it is told to end."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=hold, args=(WORK, theirs))
    process.start()
    assert ours.recv() == process.pid
    yield process, ours
    process.kill()
    process.join()


def test_a_folder_that_stays_empty_is_removed_with_those_made_for_it():
    with held(WORK, "clusterkit train-g"):
        assert json.loads((WORK / LOCK).read_text())["process"] == os.getpid()
    assert not Path("outer").exists()
    with pytest.raises(KeyError), held(WORK, "clusterkit train-g"):
        raise KeyError
    assert not Path("outer").exists()


def test_a_folder_with_results_is_kept_without_the_lock():
    with held(WORK, "clusterkit train-g"):
        (WORK / "g.safetensors").touch()
    assert [path.name for path in WORK.iterdir()] == ["g.safetensors"]


def test_a_folder_that_was_there_is_kept():
    WORK.mkdir(parents=True)
    with held(WORK, "clusterkit train-g"):
        pass
    assert list(WORK.iterdir()) == []


def test_the_second_job_says_who_holds_the_folder(other):
    process, pipe = other
    with pytest.raises(InputError) as refused, held(WORK, "clusterkit cluster"):
        pytest.fail("two jobs at once")
    text = str(refused.value)
    assert text.startswith(f"{WORK}: another job is writing there (clusterkit train-g, process {process.pid}, since 2")
    assert "--workdir" in text
    assert (WORK / LOCK).exists(), "the first job still holds it"
    with held(WORK.with_name("beside"), "clusterkit cluster"):
        pass
    pipe.send("end")
    process.join()
    with held(WORK, "clusterkit cluster"):
        pass


def test_a_holder_on_another_machine_and_one_that_is_unknown(other):
    place = WORK / LOCK
    place.write_text(place.read_text().replace('"host": "', '"host": "far-'))
    with pytest.raises(InputError, match=r"process \d+ on far-"), held(WORK, "clusterkit cluster"):
        pass
    for spoilt in ("", "{", "[]", "{}"):
        place.write_text(spoilt)
        with pytest.raises(InputError, match="another job is writing there; wait"), held(WORK, "clusterkit cluster"):
            pass


def test_a_killed_job_holds_nothing(other):
    process, _ = other
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert (WORK / LOCK).exists()
    with held(WORK, "clusterkit cluster"):
        assert json.loads((WORK / LOCK).read_text())["command"] == "clusterkit cluster"
    assert not (WORK / LOCK).exists()


def killed_in(moment: str, place: Path) -> int:
    """Exchange two files in a job that is killed at a moment, as `kill -9` kills it; return its process."""

    def kill_at(name: str, original: Callable[..., object]) -> Callable[..., object]:
        def run(path: Path, *more: object, **options: object) -> object:
            if moment == f"{name} {Path(path).name.split('.')[-1]}" or moment == f"{name} {Path(path).name[1:4]}":
                if name == "copy":
                    Path(str(more[0])).write_text("o")
                if Path(path).exists():
                    os.kill(os.getpid(), signal.SIGKILL)
            return original(path, *more, **options)

        return run

    def exchange() -> None:
        Path.replace = kill_at("replace", Path.replace)  # type: ignore[method-assign, assignment]
        Path.unlink = kill_at("unlink", Path.unlink)  # type: ignore[method-assign, assignment]
        shutil.copy2 = kill_at("copy", shutil.copy2)  # type: ignore[assignment]
        if moment.startswith("copy"):
            os.link = lambda *_: (_ for _ in ()).throw(OSError("no links"))  # type: ignore[assignment]
        with held(place, "clusterkit cluster"), together(*(place / name for name in BOTH)) as temporaries:
            for path in temporaries:
                path.write_text("new")

    process = multiprocessing.get_context("fork").Process(target=exchange)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert process.pid is not None
    return process.pid


def contents(place: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in place.iterdir() if path.is_file() and path.name != LOCK}


BOTH = ("ccn.safetensors", "assignments.h5")
MOMENTS = {
    "copy safetensors": "old",  # a disk without links holds half a copy
    "replace ccn": "old",
    "replace ass": "old",
    "unlink old": "new",
}
"""The moments of an exchange, and what the next job finds in both files."""


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_next_job_undoes_what_a_killed_one_left_half_done(moment):
    """Two files are replaced together or not at all, also if the process is killed between them."""
    WORK.mkdir(parents=True)
    for name in BOTH:
        (WORK / name).write_text("old")
    (WORK / ".ccn.safetensors.1.old").write_text("of another process")
    killed_in(moment, WORK)
    assert len(contents(WORK)) > len(BOTH) + 1
    with held(WORK, "clusterkit cluster"):
        found = contents(WORK)
    assert found == {**dict.fromkeys(BOTH, MOMENTS[moment]), ".ccn.safetensors.1.old": "of another process"}


@pytest.mark.parametrize("job", [{"host": "far away"}, {"process": os.getppid()}, {"process": "x"}])
def test_what_a_living_job_or_one_of_another_machine_left_is_not_touched(job):
    WORK.mkdir(parents=True)
    for name in BOTH:
        (WORK / name).write_text("old")
    process = killed_in("replace ass", WORK)
    before = contents(WORK)
    (WORK / LOCK).write_text(json.dumps({**json.loads((WORK / LOCK).read_text()), **job}))
    with held(WORK, "clusterkit cluster"):
        assert contents(WORK) == before
    assert f".assignments.h5.{process}.tmp" in before


def test_half_a_state_is_removed_and_a_whole_one_is_kept():
    state = WORK / ".g.safetensors.state"
    state.mkdir(parents=True)
    process = multiprocessing.get_context("fork").Process(target=int)
    process.start()
    process.join()
    for name in ("g.safetensors", f".g.safetensors.{process.pid}.tmp"):
        (state / name).touch()
    (WORK / LOCK).write_text(json.dumps({"process": process.pid, "host": platform.node()}))
    with held(WORK, "clusterkit train-g"):
        assert [path.name for path in state.iterdir()] == ["g.safetensors"]


def test_a_lock_file_that_its_holder_has_just_removed(monkeypatch):
    """A lock on a removed file protects nothing, because the next job makes a new one."""
    flock = work_folder.fcntl.flock

    def remove_first(file: int, how: int) -> None:
        (WORK / LOCK).unlink()
        flock(file, how)

    monkeypatch.setattr(work_folder.fcntl, "flock", remove_first)
    with pytest.raises(InputError, match="another job"), held(WORK, "clusterkit cluster"):
        pass
    assert not Path("outer").exists()


def test_a_file_system_without_locks(monkeypatch, capsys):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(work_folder.fcntl, "flock", refuse)
    set_up(quiet=False)
    with held(WORK, "clusterkit cluster"):
        (WORK / "k.json").touch()
    assert "outer/work: cannot be locked (No locks available)" in capsys.readouterr().err
    assert [path.name for path in WORK.iterdir()] == ["k.json"]
    monkeypatch.setattr(work_folder, "fcntl", None)
    with held(WORK, "clusterkit cluster"):
        pass


@pytest.mark.parametrize("folder", ["file", "file/below", "link"])
def test_no_place_for_a_folder(folder):
    Path("file").touch()
    Path("link").symlink_to("nowhere/at/all")
    with pytest.raises(InputError, match=rf"^{folder}/: cannot be written \(.*--workdir$"), held(Path(folder), "x"):
        pass
    assert sorted(path.name for path in Path().iterdir()) == ["file", "link"]


@pytest.mark.parametrize("free", [0, 1000])
def test_a_full_disk_is_found_before_the_work(free, monkeypatch):
    full = shutil.disk_usage(".")._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: full)
    refused = pytest.raises(InputError, match=r"cannot be written \(No space left on device\); free disk space")
    with refused, held(WORK, "clusterkit train-g"):
        pytest.fail("the work has begun")
    assert not Path("outer").exists()


def test_places_for_a_file(monkeypatch):
    check_place(Path("new/deep/g.safetensors"), 10)
    assert not Path("new").exists()
    Path("file").touch()
    with pytest.raises(InputError, match=r"file/g.safetensors: cannot be written \(Not a directory\)"):
        check_place(Path("file/g.safetensors"))
    with pytest.raises(InputError, match=r"g.safetensors: cannot be written \(it needs 1e\+06 TB, but only"):
        check_place(Path("new/g.safetensors"), 10**18)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InputError, match=r"g.safetensors: cannot be written \(Permission denied\)"):
        check_place(Path("new/g.safetensors"))
