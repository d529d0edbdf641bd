"""Tables of rows: the lines and cells of a table, and their text in Markdown and LaTeX."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clusterkit.methods import METHODS
from clusterkit.metrics.rows import Row

Rows = Sequence[Row]
Label = str | Callable[[Row], str]
"""The label of a line: the name of a field of its rows, or a function that returns the text for a row."""
Cell = Callable[[Rows], str]
"""A function that returns the text of a cell from the rows of its line."""

SCORES = ["similar_precision", "similar_recall", "dissimilar_precision", "dissimilar_recall"]
"""The scores of pairs in the papers."""


@dataclass(frozen=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True)
class Table:
    head: list[str]
    lines: list[list[str]]


Part = str | Heading | Table
"""A part of a study's document. A text is a paragraph in Markdown; an empty text is left out."""


def where(rows: Rows, **fields: Any) -> list[Row]:
    """Return the rows whose fields have these values. A list allows each of its values."""
    values = {name: value if isinstance(value, list) else [value] for name, value in fields.items()}
    return [row for row in rows if all(getattr(row, name) in allowed for name, allowed in values.items())]


def subsets(rows: Rows) -> list[Row]:
    """Return the rows of single subsets, without the rows of means."""
    return [row for row in rows if row.subset != "mean"]


def pivot(rows: Rows, labels: Mapping[str, Label], cells: Sequence[tuple[str, Cell]]) -> Table:
    """Return a table with one line for all rows of equal labels, in the order of their first rows."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        names = (getattr(row, label) if isinstance(label, str) else label(row) for label in labels.values())
        groups.setdefault(tuple(names), []).append(row)
    lines = [[*names, *(cell(group) for _, cell in cells)] for names, group in groups.items()]
    return Table([*labels, *(title for title, _ in cells)], lines)


def mean(
    *metrics: str, digits: int = 3, field: str = "value", scale: float = 1, brackets: bool = True, **fields: Any
) -> Cell:
    """Return the cell of a metric: mean ± standard deviation and, in brackets, the published figure.

    `field` names another field of the rows to show, without published figures. `fields` select rows of the line.
    """

    def cell(rows: Rows) -> str:
        selection = select(rows, metrics, fields)
        if not selection:
            return ""
        published = selection[0].published if brackets and field == "value" else None
        values = [scale * getattr(row, field) for row in selection]
        return spread(values, None if published is None else scale * published, digits)

    return cell


def first(*metrics: str, digits: int = 3, field: str = "value", **fields: Any) -> Cell:
    """Return the cell of the first row with a metric. `field` names another field of that row to show."""

    def cell(rows: Rows) -> str:
        values = [getattr(row, field) for row in select(rows, metrics, fields)]
        return f"{values[0]:.{digits}f}" if values and values[0] is not None else ""

    return cell


def select(rows: Rows, metrics: Sequence[str], fields: Mapping[str, Any]) -> list[Row]:
    """Return the rows of these metrics, or of any metric if `metrics` is empty, with these values of other fields."""
    return where(rows, **fields, **({"metric": list(metrics)} if metrics else {}))


def spread(values: Sequence[float], published: float | None = None, digits: int = 3) -> str:
    """Return the text of mean ± standard deviation and, in brackets, the published figure."""
    import numpy as np

    text = f"{np.mean(values):.{digits}f}"
    text += f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return text if published is None else f"{text} ({published:.{digits}f})"


def seeds(rows: Rows) -> str:
    """Return the cell of the number of seeds."""
    return str(len({row.seed for row in rows}))


def titled(row: Row) -> str:
    """Return the title of a clustering method and its loss, as the papers write it."""
    title = METHODS[row.method].title
    return f"{title}, {row.loss.upper()}" if row.loss else title


def markdown(parts: Sequence[Part]) -> str:
    texts = []
    for part in parts:
        match part:
            case Heading():
                texts.append(f"{'#' * part.level} {part.text}")
            case Table():
                lines = [part.head, ["---"] * len(part.head), *part.lines]
                texts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
            case text if text:
                texts.append(text)
    return "\n\n".join(texts) + "\n"


SIGNS = str.maketrans(
    {sign: f"\\{sign}" for sign in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
)


def latex(parts: Sequence[Part]) -> str:
    """Return the tables alone. The caption of each is the last heading before it."""
    caption, tables = "", []
    for part in parts:
        if isinstance(part, Heading):
            caption = part.text.translate(SIGNS)
        elif isinstance(part, Table):
            head, *lines = [" & ".join(cell.translate(SIGNS) for cell in line) for line in (part.head, *part.lines)]
            body = "".join(f"{line} \\\\\n" for line in lines)
            tables.append(
                f"\\begin{{table}}\n\\centering\n\\caption{{{caption}}}\n\\begin{{tabular}}{{{'l' * len(part.head)}}}\n"
                f"\\hline\n{head} \\\\\n\\hline\n{body}\\hline\n\\end{{tabular}}\n\\end{{table}}\n"
            )
    return "\n".join(tables)
