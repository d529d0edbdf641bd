"""The page of a report: one HTML file that reads nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from clusterkit import __version__
from clusterkit.artifacts.header import Header
from clusterkit.console import printable
from clusterkit.report.beside import Beside, settings_of
from clusterkit.report.section import BINS, Section, cluster_title, title_of

TEMPLATE = "page.html.j2"


@dataclass(frozen=True)
class Page:
    """All that the page shows: the assignments by file name and header, what lies beside them, and the sections."""

    file: str
    header: Header
    data_name: str
    table: str
    beside: Beside
    sections: Sequence[Section]
    mean: dict[str, float] | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Return how many items, clusters, doubtful and unassigned items all sections have."""
        rows = [row for section in self.sections for row in section.rows]
        return {
            "items": len(rows),
            "clusters": len({(row.subset, row.cluster) for row in rows if row.cluster >= 0}),
            "doubtful items": sum(len(section.sure.doubtful) for section in self.sections),
            "items in no cluster": sum(row.cluster < 0 for row in rows),
        }


def render(page: Page) -> str:
    """Return the HTML of a page. Every text of the user is escaped."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters.update(share=share, plain=plain, hue=hue)
    environment.globals.update(cluster_title=cluster_title, title_of=title_of, bins=BINS, version=__version__)
    text = files("clusterkit.report").joinpath(TEMPLATE).read_text(encoding="utf-8")
    several = len(page.sections) > 1
    return environment.from_string(text).render(
        page=page, settings=settings_of(page.header), several=several, level=3 if several else 2
    )


def share(value: float) -> str:
    return f"{100 * value:.0f} %"


def plain(value: Any) -> str:
    """Return a setting as one reads it."""
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(f"{value:.4g}" if isinstance(value, float) else str(value))


def hue(number: int) -> int:
    """Return the hue of a cluster, far from those of the numbers around it."""
    return number * 137 % 360
