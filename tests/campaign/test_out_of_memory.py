"""Let each command run out of memory at some moment: one line says so, and what was there before is there still."""

import functools
import resource
import signal
from pathlib import Path

import pytest

from tests.campaign.harness import call, chance_of
from tests.campaign.stories import STORIES, Story, as_kept, begun, undo_folders

pytestmark = pytest.mark.campaign
TRIALS = 6
CRASHES = -signal.SIGSEGV, -signal.SIGABRT
MORE = 2**26, 2**29
"""The bytes that a command may take beyond those that the process of the tests has. With fewer, imports fail."""


def limited(more: int) -> None:
    """Let this process take only so many bytes more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    size = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))


@pytest.mark.parametrize("number", range(TRIALS))
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_little_memory(story: Story, number: int, made: Path, tmp_path: Path) -> None:
    place, before, files = begun(story, made, tmp_path)
    more = chance_of("memory", story.name, number).randrange(*MORE)
    done = call(story.line, functools.partial(limited, more))
    # A library that is not Python's may end the process itself. Then too, nothing may be lost.
    if not (crashed := done.code in CRASHES):
        done.check(0, 1, 2, 3)
    print(f"{story.name} {number}: {done.code}")
    after = as_kept(place)
    strange = {path for path in {*before, *after} if after.get(path) not in (before.get(path), files.get(path))}
    assert not strange
    assert crashed or done.code == 0 or "memory" in done.last
    undo_folders(place)
    call(story.again).check(0)
    assert as_kept(place) == files
