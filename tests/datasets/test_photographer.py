"""A photographer's folder, read as a whole."""

import hashlib
import logging
from pathlib import Path

import pytest

from clusterkit.datasets.catalogue import load_dataset
from clusterkit.errors import InputError
from clusterkit.reading import Reading
from tests import photographer


def test_every_picture_is_read_and_everything_else_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "clusterkit")
    kinds = photographer.build(tmp_path / "photos")
    flat = Reading(flat=True)
    with pytest.raises(InputError) as caught:
        load_dataset("folder:photos", Path(), size=16, reading=flat)
    assert str(caught.value).startswith("photos: 4 unreadable: ")
    assert all(f"photos/{name}: " in str(caught.value) for name in photographer.TROUBLE)
    pictures = load_dataset("folder:photos", Path(), size=16, reading=Reading(flat=True, skip_bad=True)).union()
    assert set(pictures.names or ()) == set(kinds)
    assert len(pictures) == len(kinds) == 62
    assert (
        "photos: 62 images; left out: 3 not images (.cr2, .mov, .txt), 1 without a suffix (--sniff reads the images "
        "among them), 1 hidden, 7 of the system (.DS_Store, ._*, .thumbnails, @eaDir, Thumbs.db, ...), "
        "2 links to folders read under another name (again, round), "
        "2 second names of a file (--keep-duplicates reads them), 4 unreadable"
    ) in caplog.text
    everything = Reading(flat=True, skip_bad=True, sniff=True, keep_duplicates=True)
    assert len(load_dataset("folder:photos", Path(), size=16, reading=everything)) == 65
    album = load_dataset("folder:photos/trip@0-1", Path(), size=16).union()
    assert set(album.names or ()) == {Path(name).name for name in kinds if name.startswith("trip@0-1/")}


def test_the_folder_is_the_same_each_time(tmp_path: Path) -> None:
    def digests(place: Path) -> dict[str, str]:
        photographer.build(place)
        files = (path for path in sorted(place.rglob("*")) if path.is_file())
        return {str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    assert digests(tmp_path / "one") == digests(tmp_path / "two")
