"""The tables of adaptation in Markdown, ours beside the published figures."""

from typing import Any

from clusterkit.report.published import (
    DIGITS,
    DIRECTIONS,
    MNIST_PAIRS,
    OFFICE31,
    OFFICE31_PAIRS,
    SOURCE_ONLY,
    SVHN_MNIST,
)
from clusterkit.report.tables import spread, table

Found = dict[str, Any]
NAMES = {
    "source-only": "source-only",
    "dann": "DANN",
    "jan": "JAN",
    "ccn+": "CCN+",
    "ccn++": "CCN++",
    "jan+ccn": "JAN and CCN+",
}
SCORES = ("similar_precision", "similar_recall", "dissimilar_precision", "dissimilar_recall")
SIGNS = ("entropy", "balance", "agreement")


def digits(results: Found) -> str:
    """Return all tables of what `reproduce digits` found."""
    rows = [
        [name, NAMES[method], *accuracies(group, DIGITS.get((name, method)))]
        for name, found in results["tasks"].items()
        for method, group in by_method(found).items()
    ]
    parts = [
        "# Digits from another domain",
        f"Accuracy, nothing matched, after the last step; mean ± standard deviation over {results['trained']['seeds']} "
        "seeds; published figures in brackets. `target` is the set that was learned from without its labels "
        "(transductive), `test` its test set (inductive). The pairs are those of G "
        + (
            "after it went on learning on the unlabelled target."
            if results["self-trained"]
            else "as it was transferred."
        ),
        table(["task", "method", "test", "target"], rows),
        *signs(results),
        *oracle(results),
        "## Pairs of the target by G (L2C, table 13)",
        "All pairs of the test set, binarised at one half.",
        pairs(results["pairs"], {"mnist_test": MNIST_PAIRS}),
        "## SVHN to MNIST as published (L2C, table 12)",
        table(["from", "method", "source-only", "adapted", "gain"], [published(*row) for row in SVHN_MNIST]),
        *budget(results),
    ]
    return "\n\n".join(parts) + "\n"


def published(paper: str, method: str, before: float, after: float) -> list[str]:
    return [paper, method, f"{before:.3f}", f"{after:.3f}", f"{after - before:+.3f}"]


def office31(results: Found) -> str:
    """Return all tables of what `reproduce office31` found."""
    tasks = results["tasks"]
    weights = dict.fromkeys(run["weights"] for found in tasks.values() for run in found)
    groups = {name: by_method(found) for name, found in tasks.items()}
    methods = list(dict.fromkeys(method for found in groups.values() for method in found))
    rows = []
    for method in methods:
        said = OFFICE31.get(method, {})
        cells = [spread(values(found[method], "target"), said.get(name)) for name, found in groups.items()]
        mean = [value for found in groups.values() for value in values(found[method], "target")]
        # The published mean is that of all directions.
        of_all = said.get("mean") if len(groups) == len(DIRECTIONS) else None
        rows.append([NAMES[method], *cells, spread([sum(mean) / len(mean)], of_all)])
    parts = [
        "# Office-31",
        f"Accuracy on all images of the target, nothing matched, after the last step, {results['trained']['seeds']} "
        f"seed(s). Weights before the training: **{', '.join(weights)}**. Published figures in brackets are of a "
        "ResNet-18 with ImageNet's weights and of a G that learned from ImageNet (L2C, table 2).",
        table(["method", *tasks, "mean"], rows),
        "## Source-only by network, as published (L2C, table 10)",
        table(["network", *DIRECTIONS, "mean"], [by_network(name, said) for name, said in SOURCE_ONLY.items()]),
        *signs(results),
        *oracle(results),
        "## Pairs of the target by G (L2C, table 11)",
        pairs(results["pairs"], OFFICE31_PAIRS),
        *budget(results),
    ]
    return "\n\n".join(parts) + "\n"


def by_network(name: str, said: dict[str, float]) -> list[str]:
    return [name, *(f"{said[task]:.3f}" for task in [*DIRECTIONS, "mean"])]


def by_method(found: list[Found]) -> dict[str, list[Found]]:
    groups: dict[str, list[Found]] = {}
    for run in found:
        groups.setdefault(run["method"], []).append(run)
    return groups


def values(group: list[Found], name: str) -> list[float]:
    return [run[name] for run in group if name in run]


def accuracies(group: list[Found], said: float | None) -> list[str]:
    return [spread(values(group, "test"), said), spread(values(group, "target"))]


def signs(results: Found) -> list[str]:
    """Return the table of what can be said of each method without a label."""
    rows = [
        [name, NAMES[method], *(spread([run["diagnostics"][sign] for run in group]) for sign in SIGNS)]
        for name, found in results["tasks"].items()
        for method, group in by_method(found).items()
    ]
    return [
        "## Signs that need no label",
        "Entropy of the predictions on the target (0 is sure), evenness of the classes (1 is even), agreement with G's "
        "pairs (1 is full, 0.5 chance).",
        table(["task", "method", *SIGNS], rows),
    ]


def oracle(results: Found) -> list[str]:
    """Return the table of what the target's labels could have chosen, where it was asked for."""
    rows = [
        [name, f"{NAMES[method]}, oracle", spread(values(group, "oracle"))]
        for name, found in results["tasks"].items()
        for method, group in by_method(found).items()
        if values(group, "oracle")
    ]
    if not rows:
        return []
    return [
        "## Oracle: the best hundred steps, chosen by the labels of the target",
        "**Not a result**: no user has these labels. The accuracy of the best of all kept networks on the same images "
        "it is chosen by.",
        table(["task", "method", "best"], rows),
    ]


def pairs(found: list[Found], said: dict[str, dict[str, float]]) -> str:
    with_g = any("g" in row for row in found)
    rows = [
        [
            row["target"],
            *([row["g"]] if with_g else []),
            *(score(row, name, said.get(row["target"])) for name in SCORES),
        ]
        for row in found
    ]
    head = ["target", *(["G of"] if with_g else []), *(name.replace("_", " ") for name in SCORES)]
    return table(head, rows)


def score(row: Found, name: str, said: dict[str, float] | None) -> str:
    return f"{row[name]:.3f}" + (f" ({said[name]:.3f})" if said else "")


def budget(results: Found) -> list[str]:
    rows = [[name.replace("_", " "), str(value)] for name, value in results["trained"].items() if value is not None]
    return ["## Trained with", "Every method alike.", table(["what", "value"], rows)]
