"""Tables of the study of photos."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clusterkit.config import Head
from clusterkit.methods import METHODS
from clusterkit.studies.common.tables import Heading, Part, Rows, Table, mean, spread, where

DEFAULT = "default"
"""The method that this toolkit takes by itself: corrected features, and the default of `cluster` on their pairs."""
PLAIN, CORRECTED = "consensus-plain", "consensus"
"""The consensus of clusterings of the features as they are, and of the corrected features."""
OWN = "unlabelled"
"""The default without an A: it clusters by the features' own similarity."""
JOINT = tuple(name for name, method in METHODS.items() if method.joint)
"""The methods that train features and clusters together, here on the features."""
TITLES = {
    "kmeans": "k-means",
    "kmeans-metric": "k-means, gentle metric",
    "spectral": "spectral",
    "agglomerative": "agglomerative",
    "ccn-kcl": "CCN, KCL",
    "ccn-ccl": "CCN, CCL",
    PLAIN: "consensus, plain",
    OWN: "default without A",
    CORRECTED: "consensus",
    DEFAULT: "default",
    **{name: METHODS[name].title for name in JOINT},
}
"""The title of each method, by its name."""
BEST_OF = ("kmeans", "kmeans-metric", "spectral", "agglomerative")
"""The methods that the default is compared with."""
Facts = Mapping[str, Mapping[str, Any]]


def tables(rows: Rows, facts: Facts, backbone: str, seeds: int) -> list[Part]:
    """Return the tables of all rows. `facts` are those of each row by its name."""
    known = where(rows, k="known")
    methods = [name for name in TITLES if where(known, method=name)]
    return [
        Heading("Unseen categories of photos", 1),
        f"Features of {backbone}. K is known in the tables of scores. Figures are means over {seeds} seed(s).",
        Heading("Sets"),
        Table(
            ["row", "classes of A", "images of A", "classes of T", "images of T"],
            [[name, *sizes(fields)] for name, fields in facts.items()],
        ),
        *(
            part
            for metric in ("acc", "nmi", "ari")
            for part in (Heading(metric.upper()), by_method(where(known, metric=metric), facts, methods))
        ),
        *numbers(rows, facts),
        *corrections(where(known, metric="acc"), facts),
        Heading("Seconds"),
        "Seconds of G are those of its training, and the others those of a clustering. The features of all images were "
        "at hand.",
        seconds(where(rows, metric="acc"), facts, methods),
    ]


def sizes(fields: Mapping[str, Any]) -> list[str]:
    """Return the cells of the classes and images of A and T; those of A are empty without an A."""
    pairs = [(str(k), str(items)) for k, items in zip(fields["classes"], fields["items"], strict=True)]
    return [cell for pair in [("", "")] * (2 - len(pairs)) + pairs for cell in pair]


def average(values: Iterable[float | None]) -> float | None:
    """Return the mean; None without values or with a missing one."""
    numbers = list(values)
    present = [value for value in numbers if value is not None]
    return sum(present) / len(present) if present and len(present) == len(numbers) else None


def text(value: float | None, form: str = ".3f") -> str:
    return "" if value is None else f"{value:{form}}"


def by_method(rows: Rows, facts: Facts, methods: Sequence[str]) -> Table:
    """Return the means of one score by row and method, with the best yardstick and the default's lead over it."""

    def cells(name: str) -> dict[str, float | None]:
        of_row = {method: average(row.value for row in where(rows, set=name, method=method)) for method in methods}
        return with_lead(of_row)

    def with_lead(values: dict[str, float | None]) -> dict[str, float | None]:
        best = max((value for name in BEST_OF if (value := values.get(name)) is not None), default=None)
        default = values.get(DEFAULT)
        lead = None if best is None or default is None else default - best
        return {**values, "best": best, "lead": lead}

    by_row = {name: cells(name) for name in facts}
    means = [("mean", list(facts))]
    with_source = [name for name, fields in facts.items() if len(fields["items"]) == 2]
    if 0 < len(with_source) < len(facts):
        means.insert(0, ("mean of rows with A", with_source))
    lines = [[name, *shown(values)] for name, values in by_row.items()]
    for title, names in means:
        lines.append([title, *shown({key: average(by_row[name][key] for name in names) for key in by_row[names[0]]})])
    return Table(["row", *(TITLES[method] for method in methods), "best yardstick", "default's lead"], lines)


def shown(values: Mapping[str, float | None]) -> list[str]:
    return [text(value, "+.3f" if name == "lead" else ".3f") for name, value in values.items()]


def numbers(rows: Rows, facts: Facts) -> list[Part]:
    """Return the table of the estimates of K; nothing if none was made."""
    estimates = where(rows, method="estimate-k")
    if not estimates:
        return []
    lines, errors = [], []
    for name, fields in facts.items():
        k, found = fields["classes"][-1], where(estimates, set=name)
        error = sum(abs(row.value - k) for row in found) / len(found) / k
        errors.append(error)
        accuracy = mean("acc")(where(rows, set=name, method=DEFAULT, k="auto"))
        lines.append([name, str(k), spread([row.value for row in found], digits=1), f"{100 * error:.0f} %", accuracy])
    lines.append(["mean", "", "", f"{100 * sum(errors) / len(errors):.0f} %", ""])
    return [
        Heading("Number of clusters, estimated without labels of T"),
        Table(["row", "K", "estimate", "error", "ACC of the default at the estimate"], lines),
    ]


def corrections(rows: Rows, facts: Facts) -> list[Part]:
    """Return the table of what the correction is worth on classes that were kept out of A, and on T.

    It is empty unless both the corrected and the plain features were clustered.
    """
    lines = []
    for name, fields in facts.items():
        plain, corrected = (average(row.value for row in where(rows, set=name, method=m)) for m in (PLAIN, CORRECTED))
        worth = worths(fields["correction"])
        if worth and plain is not None and corrected is not None:
            before, after = worth
            cells = before, after, after - before, plain, corrected, corrected - plain
            is_right = (after > before) == (corrected > plain)
            forms = ".3f", ".3f", "+.3f"
            lines.append([name, *map(text, cells, 2 * forms), "right" if is_right else "wrong"])
    if not lines:
        return []
    head = ["row", *(f"{where_}, {what}" for where_ in ("kept out", "T") for what in ("plain", "corrected", "gain"))]
    return [
        Heading("What the correction is worth on kept-out classes of A, and on T: ACC"),
        Table([*head, "sign"], lines),
    ]


def worths(correction: Mapping[str, Any] | None) -> tuple[float, float] | None:
    """Return the ACC on kept-out classes of the plain features and of the chosen form, as `train-g` says.

    It is None if there was no A, or too few classes to keep any out.
    """
    if not correction or not correction["worth"]:
        return None
    plain, *_ = correction["worth"]
    chosen = next(
        worth
        for worth in correction["worth"]
        if all(worth[key] == correction[key] for key in plain if key in correction)
    )
    return plain["acc"], chosen["acc"]


def seconds(rows: Rows, facts: Facts, methods: Sequence[str]) -> Table:
    """Return the mean seconds of each method at known K, of the default at the estimate, and of G."""
    columns = {TITLES[method]: where(rows, method=method, k="known") for method in methods}
    columns[f"{TITLES[DEFAULT]}, K estimated"] = where(rows, method=DEFAULT, k="auto")
    columns = {title: selection for title, selection in columns.items() if selection}
    heads = [head for head in Head if any(head in fields["seconds"] for fields in facts.values())]
    lines = []
    for name, fields in facts.items():
        cells = [average(row.seconds for row in where(selection, set=name)) for selection in columns.values()]
        cells += [fields["seconds"].get(head) for head in heads]
        lines.append([name, *(text(cell, ".1f") for cell in cells)])
    return Table(["row", *columns, *(f"G, {head}" for head in heads)], lines)
