"""The tables of all methods on the same pairs in Markdown, ours beside the published figures."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from clusterkit.report.published import MNIST_NMI, OMNIGLOT_ACC, OMNIGLOT_K, OMNIGLOT_MEAN
from clusterkit.report.tables import spread, table

Run = dict[str, Any]
Published = dict[tuple[str, str], dict[str, float]]
GIB = 2**30


@dataclass(frozen=True)
class Row:
    """A method's name in the papers, and whether the pairs shape its metric or its clusters (L2C, table 1)."""

    title: str
    metric: bool = False
    clustering: bool = False


ROWS = {
    "kmeans": Row("k-means"),
    "lpnmf": Row("LPNMF"),
    "lsc": Row("LSC"),
    "itml": Row("ITML", metric=True),
    "skms": Row("SKMS", metric=True),
    "skkm": Row("SKKm", metric=True),
    "sklr": Row("SKLR", metric=True),
    "csp": Row("CSP", clustering=True),
    "mpckmeans": Row("MPCK-means", metric=True, clustering=True),
    "ccn-kcl": Row("CCN, KCL", metric=True, clustering=True),
    "ccn-ccl": Row("CCN, CCL", metric=True, clustering=True),
    "spectral-pixels": Row("spectral, pixels"),
    "spectral": Row("spectral", clustering=True),
    "agglomerative": Row("agglomerative", clustering=True),
    "hdbscan": Row("HDBSCAN", clustering=True),
}
"""In the order of L2C's table 1; behind them those that only we have."""
BROAD = "100"
"""The K by which the papers compare where K is not known."""


def markdown(results: dict[str, Any]) -> str:
    """Return all tables of what `reproduce baselines` found."""
    trained = "after it went on learning on the unlabelled set" if results["self-trained"] else "as it was transferred"
    parts = [
        "# Baselines",
        f"Every method that uses pairs has the same ones, of G {trained}; published figures in brackets. Over several "
        "seeds of the clustering, mean ± standard deviation. An o says what the pairs shape.",
        f"Scores without a number are of K known, an oracle: it counts the classes among the labels. Methods that find "
        f"K themselves stand under {BROAD}.",
    ]
    for name, found in results["sets"].items():
        parts += SECTIONS[name](found)
    return "\n\n".join(parts) + "\n"


def omniglot(found: dict[str, Any]) -> list[str]:
    groups = grouped(found["runs"])
    parts = [
        "## Twenty alphabets (L2C, table 1; CCL, table 4)",
        f"Scores are means over the alphabets. {COSTS}",
        means(groups, OMNIGLOT_MEAN),
    ]
    broad = {method: group for (method, k), group in groups.items() if k == BROAD}
    if broad:
        parts += [f"### ACC at K = {BROAD} by alphabet, in percent (L2C, table 5)", by_alphabet(broad)]
    return parts + counted(groups, "### Number of characters found (L2C, table 6)", OMNIGLOT_K, OMNIGLOT_MEAN)


def mnist(found: dict[str, Any]) -> list[str]:
    groups = grouped(found["runs"])
    published = {key: {"nmi": value} for key, value in MNIST_NMI.items()}
    return [
        f"## {found['images']} random images of MNIST's test set (SPN, table 2: all 10,000 of them)",
        COSTS,
        means(groups, published),
        *counted(groups, "### Number of digits found", {}, {}),
    ]


SECTIONS = {"omniglot": omniglot, "mnist": mnist}
COSTS = (
    "Seconds are of the whole stage, the sum over all subsets; GiB are the most main memory that its process held, "
    "Python and its libraries included."
)


def grouped(runs: list[Run]) -> dict[tuple[str, str], list[Run]]:
    """Return the runs by method, in the order of the table, and K."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in sorted(runs, key=lambda run: list(ROWS).index(run["method"])):
        groups.setdefault((run["method"], run["k"]), []).append(run)
    return groups


def means(groups: dict[tuple[str, str], list[Run]], published: Published) -> str:
    """Return the table of the methods: scores by K, and what they cost."""
    ks = sorted({k for _, k in groups}, key=lambda k: 0 if k == "known" else int(k))
    head = ["method", "pairs in: metric", "clustering"]
    head += [name if k == "known" else f"{name} ({k})" for name in ("ACC", "NMI", "seconds", "GiB") for k in ks]
    lines = []
    for method in dict.fromkeys(method for method, _ in groups):
        row = ROWS[method]
        cells = [row.title, "o" if row.metric else "", "o" if row.clustering else ""]
        by_k = [groups.get((method, k), []) for k in ks]
        for name in ("acc", "nmi"):
            said = [published.get((row.title, k), {}).get(name) for k in ks]
            cells += [cell([run["mean"][name] for run in group], one) for group, one in zip(by_k, said, strict=True)]
        cells += [cell([run["seconds"] for run in group], digits=1) for group in by_k]
        cells += [cell([run["peak_bytes"] / GIB for run in group], digits=2) for group in by_k]
        lines.append(cells)
    return table(head, lines)


def cell(values: list[float], published: float | None = None, digits: int = 3) -> str:
    return spread(values, published, digits) if values else ""


def by_alphabet(broad: dict[str, list[Run]]) -> str:
    """Return the table of ACC in percent, an alphabet a row and a method a column."""
    lines = [[name] for name in next(iter(broad.values()))[0]["subsets"]]
    average = ["average"]
    for method, group in broad.items():
        published = OMNIGLOT_ACC.get(ROWS[method].title, {})
        for line in lines:
            said = published.get(line[0])
            ours = [100 * run["subsets"][line[0]]["acc"] for run in group]
            line.append(spread(ours, None if said is None else 100 * said, 0))
        mean = 100 * float(np.mean(list(published.values()))) if published else None
        average.append(spread([100 * run["mean"]["acc"] for run in group], mean, 0))
    return table(["alphabet", *(ROWS[method].title for method in broad)], [*lines, average])


def counted(
    groups: dict[tuple[str, str], list[Run]], title: str, published: dict[str, dict[str, int]], means: Published
) -> list[str]:
    """Return the table of how many clusters the methods find that are not given K, and ADif, or nothing."""
    finders = {method: group for (method, _), group in groups.items() if group[0]["finds_k"]}
    if not finders:
        return []
    subsets = next(iter(finders.values()))[0]["subsets"]
    lines = [[name, f"{scores['classes']:.0f}"] for name, scores in subsets.items()]
    errors = ["ADif", ""]
    for method, group in finders.items():
        name = ROWS[method].title
        for line in lines:
            said = published.get(name, {}).get(line[0])
            line.append(spread([run["subsets"][line[0]]["clusters"] for run in group], said, 0))
        errors.append(spread([adif(run) for run in group], means.get((name, BROAD), {}).get("adif"), 2))
    head = ["subset", "classes", *(ROWS[method].title for method in finders)]
    return [title, "ADif is the mean difference from the number of classes.", table(head, [*lines, errors])]


def adif(run: Run) -> float:
    """Return the mean absolute difference of the numbers of clusters and classes over the subsets."""
    return float(np.mean([abs(scores["clusters"] - scores["classes"]) for scores in run["subsets"].values()]))
