"""The run of a study: from options to rows, tables and files."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from clusterkit.config import Context, Precision
from clusterkit.metrics.rows import Row
from clusterkit.settings import Options
from clusterkit.studies.common.published import fill
from clusterkit.studies.common.runs import subfolder
from clusterkit.studies.common.tables import Part, latex, markdown

RESULTS = "results.csv"


@dataclass(frozen=True)
class Outcome:
    """The result of a study: its figures as rows, and its other facts by name, for the JSON.

    `files` are written together with the tables: by name, a function that writes one at a path. `finish` is called
    after that, to remove what only a resumed run needs.
    """

    rows: list[Row]
    facts: dict[str, Any] = field(default_factory=dict)
    files: dict[str, Callable[[Path], None]] = field(default_factory=dict)
    finish: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Study:
    """A study: its help, the class of its options, the papers to compare with, and functions for its runs and tables.

    If several papers have a figure for a row, the first of `papers` counts.
    """

    help: str | None
    example: str
    options: type[Options]
    papers: tuple[str, ...]
    run: Callable[[Any, Context], Outcome]
    document: Callable[[Any, Outcome], list[Part]]


@dataclass(frozen=True)
class Written:
    """The files of a study: the path and the text of its Markdown, and the fields of its JSON."""

    artifact: Path
    text: str
    fields: dict[str, Any]


def run(name: str, study: Study, options: Options, context: Context, *, with_latex: bool) -> Written:
    """Run a study in the folder of its name and write its files."""
    from clusterkit.artifacts.header import resolved
    from clusterkit.device import check_precision, choose_device

    check_precision(getattr(options, "precision", Precision.FP32), choose_device(context.device))
    context = subfolder(context, name)
    outcome = study.run(options, context)
    outcome = replace(outcome, rows=fill(outcome.rows, study.papers))
    settings = {**resolved(options), "seed": context.seed}
    return write(name, outcome, settings, study.document(options, outcome), context, with_latex=with_latex)


def write(
    name: str, outcome: Outcome, settings: dict[str, Any], parts: Sequence[Part], context: Context, *, with_latex: bool
) -> Written:
    """Write `results.csv`, Markdown, JSON and, with `with_latex`, LaTeX: all files or none."""
    from clusterkit.artifacts.files import together

    text = markdown(parts)
    content = {"study": name, "settings": settings, "rows": [asdict(row) for row in outcome.rows], **outcome.facts}
    texts = {f"{name}.md": text, RESULTS: to_csv(Row, outcome.rows), f"{name}.json": to_json(content)}
    if with_latex:
        texts[f"{name}.tex"] = latex(parts)
    with together(*map(context.path, [*texts, *outcome.files])) as staged:
        for path, file in zip(staged, texts.values(), strict=False):
            path.write_text(file, encoding="utf-8")
        for path, write_file in zip(staged[len(texts) :], outcome.files.values(), strict=True):
            write_file(path)
    outcome.finish()
    return Written(context.path(f"{name}.md"), text, content)


def to_csv(kind: type[Any], rows: Sequence[Any]) -> str:
    """Return dataclasses of one kind as CSV, with a header line; None becomes an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(kind))
    writer.writerows(astuple(row) for row in rows)
    return text.getvalue()


def to_json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, allow_nan=False) + "\n"
