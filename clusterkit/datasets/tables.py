"""Files of the user's own vectors and images: .npz and .npy of NumPy, .csv, .tsv and .parquet tables."""

import re
import warnings
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from clusterkit import console
from clusterkit.datasets.meant import advice_on
from clusterkit.errors import InputError, MissingFileError

Array = NDArray[Any]
TABLES = (".csv", ".tsv", ".parquet")
MAPPED_FROM = 2**30
"""Bytes from which an .npy file is mapped into memory instead of read."""
NAME_COLUMNS = ("", "name", "names", "path", "file", "id")
"""Columns of a table that hold the names of the items. The column without a title is the index that pandas writes."""
UNTITLED = "(no title)"
TITLES = "put a line with the titles of the columns above it"
LABEL_COLUMNS = ("label", "labels", "class", "y")
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|nan|[-+]?inf", re.IGNORECASE)
WITH_COMMA = re.compile(r"[-+]?\d*(,\d+)+")
EXACT = 2**53
"""The largest integer up to which float64 holds all integers."""


LARGEST = float(np.finfo(np.float32).max)
BLOCK = 2**20
"""Values that are checked or converted at a time, so that this needs little memory."""


@dataclass(frozen=True)
class Content:
    """The content of a file: `x` with N items, their classes `y` or the text of their labels, and their names.

    `columns` are the titles of the columns of x in a table.
    """

    x: Array
    y: Array | None = None
    words: Sequence[str] | None = None
    names: Array | None = None
    columns: tuple[str, ...] = ()

    def place(self, position: Sequence[int]) -> str:
        """Return the place of a value of x, for messages."""
        if self.columns:
            return f"row {position[0] + 1}, column '{self.columns[position[1]]}'"
        return f"x[{', '.join(map(str, position))}]"


def read(path: Path) -> Content:
    """Read x and, if the file has them, labels and names.

    Raises InputError for a file that is missing, damaged or of another form.
    """
    if advice := advice_on(str(path)):
        raise InputError(f"{path}: is no .npz, .npy or table; {advice}")
    if path.suffix.lower() in TABLES:
        return read_table(path)
    advice = "write it with numpy.savez(FILE, x=x, y=y, names=names)"
    content = read_numpy(path, ("x", "y", "names"), advice)
    return Content(content["x"], content.get("y"), names=content.get("names"))


def read_numpy(path: Path, names: Sequence[str], advice: str) -> dict[str, Array]:
    """Return the arrays of these names in an .npz file; the array of an .npy file has the first name.

    Raises InputError, which ends with the advice, for any other file, and for an .npz file without the first array.
    """
    with as_input_errors(path, ".npz or .npy of plain arrays", advice):
        # Copy on write: torch takes writable arrays only, and the file must not change.
        mode: Any = "c" if path.stat().st_size > MAPPED_FROM else None
        loaded = np.load(path, mmap_mode=mode, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            return {names[0]: loaded}
        with loaded as file:
            content: dict[str, Array] = {name: member(file, name, path) for name in names if name in file.files}
            held = ", ".join(file.files) or "nothing"
    if names[0] not in content:
        raise InputError(f"{path}: no array {names[0]} (it holds {held}); {advice}")
    return content


def member(file: Any, name: str, path: Path) -> Array:
    """Return an array of an open .npz file. Raises InputError if it holds Python objects, as pandas gives for text."""
    try:
        array: Array = file[name]
    except ValueError as error:
        if "Object arrays" not in str(error):
            raise
        raise InputError(
            f"{path}: {name} holds Python objects, which could be unsafe to load; write numpy.array({name}.tolist())"
        ) from error
    return array


@contextmanager
def as_input_errors(path: Path, form: str, advice: str) -> Iterator[None]:
    """Turn the errors of reading a file into an InputError that names it; `form` is what the file should hold."""
    try:
        yield
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: no such file; name an existing one, or {advice}") from error
    # A damaged array may claim a size that no memory has.
    except (OSError, ValueError, EOFError, KeyError, TypeError, MemoryError, OverflowError, NotImplementedError,
            BadZipFile, zlib.error, Warning) as error:  # fmt: skip
        if isinstance(error, OSError) and error.strerror is not None:
            raise InputError(f"{path}: cannot be read ({error.strerror}); name another file") from error
        if isinstance(error, UnicodeDecodeError):
            raise InputError(f"{path}: its text is not UTF-8; save it as UTF-8") from error
        # Only the first sentence is shown: the next ones advise programmers to load unsafe content.
        words = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        words = words.replace(" when allow_pickle=False", "")
        reason = words.splitlines()[0].partition(". ")[0] if words else type(error).__name__
        raise InputError(f"{path}: not a readable {form} ({reason}); {advice}") from error


def read_table(path: Path) -> Content:
    """Read the columns of numbers of a table as vectors; other columns hold the names and the labels.

    Raises InputError for a table with other columns, and if pandas is not installed.
    """
    kind = path.suffix.lower()
    advice = "write one line per item, with the same columns in each, below a line with their titles"
    try:
        import pandas

        with as_input_errors(path, f"{kind} table", advice if kind != ".parquet" else "write it again"):
            frame = without_index(read_parquet(path, pandas) if kind == ".parquet" else read_csv(path, pandas))
    except ImportError as error:
        raise InputError(
            f"{path}: reading {kind} files needs packages that are not installed; run: pip install pandas pyarrow"
        ) from error
    names, labels = role(frame.columns, NAME_COLUMNS, "names", path), role(frame.columns, LABEL_COLUMNS, "labels", path)
    columns = [title for title in frame.columns if title not in (names, labels)]
    if not len(frame) or not columns:
        raise InputError(f"{path}: has no {'columns of numbers' if len(frame) else 'rows'}; {advice}")
    x = values(frame, columns, path, pandas)
    parts = [f"{path}: {counted(columns)} the values"]
    parts += [
        f"'{title or UNTITLED}' holds the {what}"
        for title, what in ((names, "names"), (labels, "labels"))
        if title is not None
    ]
    console.once("%s", ", ".join(parts))
    return Content(
        x,
        words=None if labels is None else words(frame[labels]),
        names=None if names is None else np.array(words(frame[names])),
        columns=tuple(columns),
    )


def check_separator(path: Path, separator: str) -> None:
    """Raise InputError for a text table whose first two lines have columns, but with another separator."""
    with path.open(encoding="utf-8-sig") as file:
        lines = [file.readline(), file.readline()]
    for other, title in ((";", "semicolons"), ("\t", "tabs"), (",", "commas")):
        if separator not in lines[0] and all(other in line for line in lines):
            right = "commas" if separator == "," else "tabs"
            point = ", and write decimals with a point" if other == ";" and "," in lines[1] else ""
            raise InputError(f"{path}: its columns are separated by {title}; separate them by {right}{point}")


def seem_data(titles: Collection[str]) -> bool:
    """Return whether the first line of a table seems to hold data: numbers, but no title of names or labels."""
    numbers = [title for title in titles if NUMBER.fullmatch(title)]
    # pandas numbers the columns of an array from 0.
    is_numbered = numbers == [str(number) for number in range(len(numbers))]
    return not is_numbered and not any(title.lower() in (*NAME_COLUMNS[1:], *LABEL_COLUMNS) for title in titles)


def read_csv(path: Path, pandas: Any) -> Any:
    """Return a text table as a data frame, with names and labels as text. Raises InputError for unusable titles."""
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    check_separator(path, separator)
    form: dict[str, Any] = {
        "sep": separator, "encoding": "utf-8-sig", "na_filter": False, "index_col": False, "low_memory": False,
    }  # fmt: skip
    first = pandas.read_csv(path, header=None, nrows=1, dtype=str, **form)
    titles = [title.strip() for title in first.iloc[0].tolist()]
    repeated = [title for number, title in enumerate(titles) if title in titles[:number]]
    if all(NUMBER.fullmatch(title) for title in titles if title) and seem_data(titles):
        raise InputError(f"{path}: the first line holds numbers; {TITLES}")
    if repeated and NUMBER.fullmatch(repeated[0]) and seem_data(titles):
        raise InputError(f"{path}: the first line holds '{repeated[0]}' twice, so it seems to be data; {TITLES}")
    if repeated:
        raise InputError(f"{path}: two columns are called '{repeated[0]}'; rename one of them")
    as_text = {title: str for title in titles if title.lower() in (*NAME_COLUMNS, *LABEL_COLUMNS)}
    # By default, pandas rounds the last digit before version 3.
    exact = {"float_precision": "round_trip"} if int(pandas.__version__.split(".")[0]) < 3 else {}
    with warnings.catch_warnings():
        # pandas only warns of lines with more values than titles.
        warnings.simplefilter("error", pandas.errors.ParserWarning)
        return pandas.read_csv(path, header=0, names=titles, dtype=as_text, **exact, **form)


def read_parquet(path: Path, pandas: Any) -> Any:
    """Return a Parquet table as a data frame whose index, if it says more than the position, is a column."""
    frame = pandas.read_parquet(path)
    if not isinstance(frame.index, pandas.RangeIndex):
        frame = frame.reset_index(names=None if all(frame.index.names) else "")
    frame.columns = [str(title) for title in frame.columns]
    if not frame.columns.is_unique:
        raise InputError(f"{path}: two columns are called '{frame.columns[frame.columns.duplicated()][0]}'; rename one")
    return frame


def without_index(frame: Any) -> Any:
    """Return a data frame without the untitled column that numbers its rows from 0, if another column names them."""
    named = any(title.lower() in NAME_COLUMNS for title in frame.columns if title)
    if named and "" in frame.columns and [str(value) for value in frame[""]] == [str(n) for n in range(len(frame))]:
        return frame.drop(columns="")
    return frame


def role(columns: Sequence[str], titles: Collection[str], what: str, path: Path) -> str | None:
    """Return the column with one of these titles, None if there is none. Raises InputError if several could be meant.

    Case does not matter.
    """
    lower = [title.lower() for title in columns]
    candidates = [title for title in columns if title.lower() in titles]
    if len(candidates) > 1:
        listed = " and ".join(f"'{title or UNTITLED}'" for title in candidates)
        raise InputError(f"{path}: the columns {listed} could each hold the {what}; leave out or rename all but one")
    if candidates and candidates[0].lower() == "y" and "x" in lower:
        raise InputError(
            f"{path}: the column '{candidates[0]}' could be a coordinate or the labels; call it y1, or label"
        )
    return candidates[0] if candidates else None


def values(frame: Any, columns: Sequence[str], path: Path, pandas: Any) -> Array:
    """Return columns of numbers as an array (N, D). Raises InputError that names what is not a number."""
    unused = []
    for title in columns:
        column = frame[title]
        if pandas.api.types.is_numeric_dtype(column) and column.dtype.kind in "biuf":
            if column.dtype.kind in "iu" and column.dtype.itemsize == 8 and not column.between(-EXACT, EXACT).all():
                raise InputError(
                    f"{path}: the column '{title}' has integers beyond {EXACT:.0e}; leave it out or scale it"
                )
            continue
        numbers = parsed(column, pandas)
        bad = np.flatnonzero(numbers.isna())
        cell = "" if not len(bad) else text(column.iloc[bad[0]])
        if not len(bad):
            frame[title] = numbers
        elif WITH_COMMA.fullmatch(cell):
            raise InputError(
                f"{path}: row {bad[0] + 1}, column '{title}' is '{cell}'; write numbers without commas, as 1.5"
            )
        elif len(bad) == len(numbers):
            unused.append(title)
        else:
            is_empty = not cell.strip() or pandas.isna(column.iloc[bad[0]])
            raise InputError(
                f"{path}: row {bad[0] + 1}, column '{title}' is "
                + ("empty; fill it" if is_empty else f"'{cell}', not a number; correct it")
                + ", or leave out the row or the column"
            )
    if unused and path.suffix.lower() != ".parquet" and seem_data(frame.columns):
        raise InputError(f"{path}: {counted(unused)} no numbers; if the first line is data, {TITLES}")
    if unused:
        them, one = ("it", "it") if len(unused) == 1 else ("them", "one")
        raise InputError(
            f"{path}: {counted(unused)} no numbers; leave {them} out, or call {one} 'name' (of the items) or 'label' "
            "(their classes)"
        )
    small = all(frame[title].dtype.itemsize <= (4 if frame[title].dtype.kind == "f" else 2) for title in columns)
    array: Array = frame[list(columns)].to_numpy(np.float32 if small else np.float64, na_value=np.nan)
    return array


def parsed(column: Any, pandas: Any) -> Any:
    """Return the numbers of a column of another type, with NaN for each cell that is none."""
    try:
        return pandas.to_numeric(column, errors="coerce") if column.dtype.kind == "O" else pandas.Series([np.nan])
    except TypeError:  # lists
        return pandas.Series([np.nan])


def counted(columns: Sequence[str]) -> str:
    """Return the subject and the verb of a sentence about what columns hold; it names at most three of them."""
    if len(columns) == 1:
        return f"the column '{columns[0]}' holds"
    listed = ", ".join(f"'{title}'" for title in columns[:3])
    return f"{len(columns)} columns ({listed}{', …' if len(columns) > 3 else ''}) hold"


def words(column: Any) -> list[str]:
    """Return the cells of a column as text, which is empty where there is no value."""
    return ["" if empty else text(value).strip() for empty, value in zip(column.isna(), column.tolist(), strict=True)]


def text(value: Any) -> str:
    """Return a value as the name of a class or an item; a float without fraction is written as an integer."""
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < EXACT
    return str(int(value) if is_whole else value)


def blocks_of(values: Array) -> Iterator[tuple[int, Array]]:
    """Yield all items of an array (N, ...) in blocks of at most BLOCK values, each with the position of its first."""
    count = max(1, BLOCK // max(1, values[:1].size))
    for start in range(0, len(values), count):
        yield start, values[start : start + count]


def check_finite(values: Array, name: str, path: Path, place: Callable[[Sequence[int]], str] | None = None) -> None:
    """Raise InputError that names the place of the first value which is not finite, or that float32 cannot hold."""
    count, beyond, first, kind = 0, False, "", "infinite or too large"
    for start, block in blocks_of(values):
        bad = np.argwhere(~np.isfinite(block))
        if len(bad) and not count:
            position = [start + int(bad[0][0]), *map(int, bad[0][1:])]
            first = place(position) if place else f"{name}[{', '.join(map(str, position))}]"
        count += len(bad)
        kind = "NaN or infinite" if np.isnan(block).any() else kind
        beyond = beyond or (block.dtype.itemsize > 4 and bool((np.abs(block) > LARGEST).any()))
    if count:
        raise InputError(f"{path}: {name} has {count} {kind} values, the first at {first}; remove or replace them")
    if beyond:
        raise InputError(f"{path}: {name} has values beyond {LARGEST:.0e}; scale it")
