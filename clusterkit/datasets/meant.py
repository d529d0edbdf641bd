"""The user's own data at a path: what a name that is no data set was probably meant to be."""

from collections.abc import Collection
from pathlib import Path

from clusterkit.errors import InputError
from clusterkit.reading import OWN_DATA

SUFFIXES = {".npz": "arrays", ".npy": "features", ".csv": "features", ".tsv": "features", ".parquet": "features"}
"""The likely prefix of a file by its suffix."""


def own_data(path: str, prefixes: Collection[str]) -> str | None:
    """Return the name of the data at a path, as in `folder:photos`, if it is a folder or a file that a prefix reads."""
    try:
        place = Path(path).expanduser()
        prefix = "folder" if place.is_dir() else SUFFIXES.get(place.suffix.lower()) if place.is_file() else None
    except (OSError, RuntimeError, ValueError):
        return None
    return f"{prefix}:{path}" if path and prefix in prefixes else None


def advice_on(path: str) -> str | None:
    """Return what to do with an .h5 file that is given as a data set, which only the program itself writes."""
    try:
        is_own = path.lower().endswith(".h5") and Path(path).is_file()
    except (OSError, ValueError):
        return None
    if not is_own:
        return None
    return f"if embed made {path}, name the set of its pictures, and the file with --features"


def check_kind(source: str, path: str, prefixes: Collection[str]) -> None:
    """Raise InputError for a folder whose prefix reads files, and for a file whose prefix reads folders."""
    if source not in OWN_DATA:
        return
    place = Path(path).expanduser()
    is_folder = place.is_dir()
    if is_folder if source != "folder" else place.is_file():
        meant = own_data(path, prefixes)
        hint = f" (did you mean {meant}?)" if meant else "; name a folder of images" if source == "folder" else ""
        kinds = ("folder", "file") if is_folder else ("file", "folder")
        raise InputError(f"data set '{source}:{path}': is a {kinds[0]}, but {source}: reads a {kinds[1]}{hint}")
