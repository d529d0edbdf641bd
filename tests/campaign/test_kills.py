"""Kill every command that writes at random moments: nothing is lost, and the command repeated gives the same bytes."""

import json
from pathlib import Path

import pytest

from tests.campaign.harness import Changes, call, chance_of, copied, kill, shown, snapshot
from tests.campaign.stories import STORIES, Story, as_kept, inside, start_of, undo_folders, whole

pytestmark = pytest.mark.campaign
KILLS = 12
"""Kills of each story: every other one before a change of the folder, the others at a moment of the clock."""


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
@pytest.mark.parametrize("number", range(KILLS))
def test_kill(story: Story, number: int, made: Path, tmp_path: Path) -> None:
    files, changes, seconds = whole(story, made)
    place = copied(start_of(story, made), tmp_path / "run")
    inside(place)
    before = as_kept(place)
    chance = chance_of("kill", story.name, number)
    if number % 2:
        done = call(story.line, Changes(place, chance.randint(1, changes), kill))
    else:
        done = call(story.line, kill_after=chance.uniform(0, seconds))
    assert done.code in (-9, 0)
    after = as_kept(place)
    strange = {path for path in {*before, *after} if after.get(path) not in (before.get(path), files.get(path))}
    lost = before.keys() - after.keys() - (before.keys() - files.keys())
    hidden = snapshot(place).keys() - shown(snapshot(place)).keys()
    print(json.dumps({"killed": done.code, "left": sorted(hidden), "strange": sorted(strange)}))
    assert not strange
    assert not lost
    undo_folders(place)
    call(story.again).check(0)
    assert as_kept(place) == files
