"""Change pictures of every format that is read: each is read or named as unreadable, and nothing else happens."""

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pillow_heif
import pytest
from PIL import Image

from clusterkit.datasets.decode import NOT_PICTURES
from tests.campaign.harness import Done, call, chance_of
from tests.campaign.mutations import OF_BYTES
from tests.campaign.stories import BACKBONE, inside
from tests.photographer import FORMS, drawn, save

pytestmark = pytest.mark.campaign
TRIALS = 125
EACH = 40
"""Changed pictures in the folder of one trial."""
ROOM, MOMENT = 200 * 10**6, 5.0
"""Bytes beyond what a folder of the intact pictures takes, and seconds beyond three times what it takes."""
LINE = f"embed folder:changed --flat --skip-bad --sniff {BACKBONE} --json"


def intact() -> Iterator[tuple[str, bytes]]:
    """Yield a picture of each form that cameras write, and of each other format that Pillow writes."""
    chance = chance_of("intact")
    pillow_heif.register_heif_opener()
    for number, form in enumerate(FORMS):
        path = Path(f"form{number}{form.suffix}")
        save(drawn("disc", chance), form, path)
        yield path.name, path.read_bytes()
        path.unlink()
    Image.init()
    suffixes = {format: suffix for suffix, format in Image.EXTENSION.items()}
    for format in sorted(Image.SAVE.keys() & Image.OPEN.keys() - NOT_PICTURES):
        for mode in ("RGB", "L", "1", "P", "I", "F"):
            content = io.BytesIO()
            try:
                drawn("stripes", chance).convert(mode).save(content, format)
            except (OSError, ValueError, KeyError):
                continue  # of another mode, or its library is not here
            yield f"{format}-{mode}{suffixes.get(format, '')}", content.getvalue()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    inside(tmp_path_factory.mktemp("pictures"))
    return dict(intact())


def embedded(pictures: dict[str, bytes], place: Path) -> Done:
    """Embed some pictures in a folder of their own."""
    shutil.rmtree(place, ignore_errors=True)
    (place / "changed").mkdir(parents=True)
    for name, data in pictures.items():
        (place / "changed" / name).write_bytes(data)
    inside(place)
    return call(LINE)


@pytest.mark.parametrize("number", range(TRIALS))
def test_changed(number: int, pictures: dict[str, bytes], tmp_path: Path) -> None:
    chance = chance_of("pictures", number)
    chosen = [chance.choice(sorted(pictures)) for _ in range(EACH)]
    usual = embedded({f"{at:02}{name}": pictures[name] for at, name in enumerate(chosen)}, tmp_path / "run").check(0)
    changed = {}
    for at, name in enumerate(chosen):
        changed[f"{at:02}{name}"] = chance.choice(OF_BYTES)(pictures[name], pictures[chance.choice(chosen)], chance)
    done = embedded(changed, tmp_path / "run")
    faults = [fault for fault in [fault_of(done, usual)] if fault]
    if faults:
        for name, data in changed.items():
            alone = fault_of(embedded({name: data, "intact.png": pictures[chosen[0]]}, tmp_path / "run"), usual)
            if alone:
                (tmp_path / name).write_bytes(data)
                faults.append(f"{tmp_path / name}: {alone}")
    assert not faults, "\n\n".join(faults)


def fault_of(done: Done, usual: Done) -> str:
    try:
        done.check(0, 3)
        words = [line for line in done.err.splitlines() if not line.startswith(("clusterkit: ", "WARNING", "INFO"))]
        assert not words, words
        assert done.peak <= usual.peak + ROOM, f"{done.peak} bytes, usually {usual.peak}"
        assert done.seconds <= 3 * usual.seconds + MOMENT, f"{done.seconds} s, usually {usual.seconds}"
        if done.code == 0:
            json.loads(done.out)
    except AssertionError as fault:
        return str(fault)
    return ""
