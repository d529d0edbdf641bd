"""Kill every command that writes at random moments: nothing is lost, and the command repeated gives the same bytes."""

import json
from pathlib import Path

import pytest

from clusterkit.artifacts.work_folder import held
from tests.campaign.harness import Changes, call, chance_of, is_hidden, kill, snapshot
from tests.campaign.stories import STORIES, WORK, Story, as_kept, begun, undo_folders, whole

TOGETHER = (
    ("assignments.h5", "ccn.safetensors"), ("adapted.h5", "adapted.safetensors"), ("report.html", "clusters.csv")
)  # fmt: skip
"""Files that are replaced together or not at all."""
pytestmark = pytest.mark.campaign
KILLS = 12
"""Kills of each story: every other one before a change of the folder, the others at a moment of the clock."""


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
@pytest.mark.parametrize("number", range(KILLS))
def test_kill(story: Story, number: int, made: Path, tmp_path: Path) -> None:
    place, before, files = begun(story, made, tmp_path)
    _, changes, seconds = whole(story, made)
    chance = chance_of("kill", story.name, number)
    if number % 2:
        done = call(story.line, Changes(place, chance.randint(1, changes), kill))
    else:
        done = call(story.line, kill_after=chance.uniform(0, seconds))
    assert done.code in (-9, 0)
    hidden = [path for path in snapshot(place) if is_hidden(path)]
    with held(place / WORK, "clusterkit evaluate"):
        after = as_kept(place)
    strange = {path for path in {*before, *after} if after.get(path) not in (before.get(path), files.get(path))}
    print(json.dumps({"killed": done.code, "left": sorted(hidden), "strange": sorted(strange)}))
    assert not strange
    for together in TOGETHER:
        pair = [f"{WORK}/{name}" for name in together]
        versions = [{path: files_of.get(path) for path in pair} for files_of in (before, files)]
        assert {path: after.get(path) for path in pair} in versions or not all(path in before for path in pair)
    undo_folders(place)
    call(story.again).check(0)
    assert as_kept(place) == files
    assert not [path for path in snapshot(place / WORK) if path.endswith((".tmp", ".old"))]
