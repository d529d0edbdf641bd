"""How much memory there is, by the limits of made-up systems."""

import resource
from pathlib import Path

import pytest

from clusterkit.methods.common.memory import UNLIMITED, memory, of_groups, of_machine

HUGE = 9223372036854771712
V1 = "9:cpu,cpuacct:/else\n4:memory:/docker/abc\n0::/\n"


def limits(folder: Path, text: str, files: dict[str, object]) -> list[int]:
    """Return the limits of a process whose groups are `text`, where these files of groups are."""
    (folder / "self").mkdir()
    (folder / "self" / "cgroup").write_text(text)
    for name, content in files.items():
        path = folder / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return list(of_groups(folder, folder / "groups"))


@pytest.mark.parametrize(
    ("text", "files", "least"),
    [
        ("0::/a/b\n", {"a/b/memory.max": 5000, "a/memory.max": 7000}, 5000),
        ("0::/a/b\n", {"a/b/memory.max": "max", "a/memory.max": 7000}, 7000),
        ("0::/a/b\n", {"a/b/memory.max": 9000, "a/memory.max": 7000, "memory.max": "max"}, 7000),
        ("0::/\n", {"memory.max": 3000}, 3000),
        ("0::/../x\n", {"memory.max": 3000}, 3000),
        ("0::/a\n", {"unified/a/memory.max": 3000}, 3000),
        ("0::/a\n", {"a/memory.max": "max"}, None),
        ("0::/a\n", {"other/memory.max": 3000, "a/b/memory.max": 3000}, None),
        ("0::/a:b\n", {"a:b/memory.max": 3000}, 3000),
        (V1, {"memory/docker/abc/memory.limit_in_bytes": 4000, "memory/memory.limit_in_bytes": HUGE}, 4000),
        (V1, {"memory/docker/abc/memory.limit_in_bytes": HUGE, "memory/docker/memory.limit_in_bytes": 6000}, 6000),
        (V1, {"memory/memory.limit_in_bytes": 2000}, 2000),
        (V1, {"memory/memory.limit_in_bytes": HUGE}, None),
        (V1, {"cpu,cpuacct/else/memory.limit_in_bytes": 4000}, None),
        (V1, {"memory/docker/abc/memory.limit_in_bytes": 4000, "memory.max": 3000}, 3000),
        ("", {}, None),
    ],
)
def test_the_least_limit_along_the_path_counts(
    text: str, files: dict[str, object], least: int | None, tmp_path: Path
) -> None:
    found = [limit for limit in limits(tmp_path, text, files) if limit < UNLIMITED]
    assert min(found, default=None) == least
    whole = memory(tmp_path, tmp_path / "groups")
    assert whole == (least or memory(tmp_path / "none"))


def test_without_limits_the_machine_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY,) * 2)
    assert memory(tmp_path) == of_machine()
    monkeypatch.setattr("clusterkit.methods.common.memory.of_machine", lambda: None)
    assert memory(tmp_path) is None


def test_the_address_space_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1000 if which == resource.RLIMIT_AS else 1, 5000))
    assert memory(tmp_path) == 1000
    (tmp_path / "self").mkdir()
    for pages, left in ((0, 1000), (1000, 0)):
        (tmp_path / "self" / "statm").write_text(f"{pages} 5 3 1 0 4 0\n")
        assert memory(tmp_path) == left


def test_the_memory_of_this_machine() -> None:
    found = memory()
    assert found is None or found > 2**28
