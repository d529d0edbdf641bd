"""Start commands that share a work folder at once: each ends, or says which other one holds the folder."""

import time
from pathlib import Path

import pytest

from tests.campaign.harness import Running, call, chance_of, copied, snapshot
from tests.campaign.stories import CLUSTERED, G_OF_POINTS, WORK, as_kept, inside, prepare_with

pytestmark = pytest.mark.campaign
TRIALS = 40
AT_ONCE = 5
CHAIN = (G_OF_POINTS, "predict-pairs synthetic:blobs", CLUSTERED, "estimate-k", "evaluate", "report")
LINES = (
    *CHAIN,
    f"{CLUSTERED} --seed 1",
    "cluster --method spectral --k 5",
    "predict-pairs synthetic:blobs --form factored",
    "assign synthetic:blobs",
    "inspect clusterkit-out/g.safetensors",
    "inspect clusterkit-out/assignments.h5",
)


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("at-once") / "start"
    prepare_with(CHAIN, place)
    return place


@pytest.mark.parametrize("number", range(TRIALS))
def test_at_once(number: int, start: Path, tmp_path: Path) -> None:
    chance = chance_of("at once", number)
    place = copied(start, tmp_path / "run")
    inside(place)
    lines = chance.choices(LINES, k=AT_ONCE)
    running = []
    for line in lines:
        running.append(Running(line))
        time.sleep(chance.choice([0, 0, 0.02, 0.2]))
    done = [each.end().check(0, 3) for each in running]
    writers = [each for line, each in zip(lines, done, strict=True) if not line.startswith("inspect")]
    assert any(each.code == 0 for each in writers) or not writers
    for path in (place / WORK).glob("*.[hjs]*"):
        if path.suffix != ".html":
            call(["inspect", str(path)]).check(0)
    assert not [path for path in snapshot(place / WORK) if path.startswith(".")]
    for line in CHAIN:
        call(f"{line} --quiet").check(0)
    assert {path: as_kept(place)[path] for path in as_kept(start)} == as_kept(start)
