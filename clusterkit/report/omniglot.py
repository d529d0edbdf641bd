"""The papers' Omniglot tables in Markdown, ours beside the published figures."""

from typing import Any

import numpy as np

from clusterkit.report.published import N_WAY, OMNIGLOT_ACC, OMNIGLOT_K, OMNIGLOT_MEAN
from clusterkit.report.tables import spread, table

Run = dict[str, Any]
SELF_TRAINED = "self-trained g"
PUBLISHED = "CCN, KCL"
"""Whose figures were published by alphabet, at K = 100."""


def markdown(results: dict[str, Any], picture: str) -> str:
    """Return all tables of what `reproduce omniglot` found; `picture` is the file of what is confused."""
    found = results["runs"]
    after = SELF_TRAINED in results
    heads = any(run.get("init") == "g" for run in found)
    parts = [
        "# Omniglot",
        "Mean ± standard deviation over the seeds of the clustering; published figures in brackets.",
        *(["Each CCN is a head on the features of G (`--init g`), not a whole network as published."] if heads else []),
        "## Mean over the alphabets (L2C, table 1; CCL, table 4)",
        table(["method", "K", "ACC", "NMI", "ARI", "ADif of NDC", "seeds"], means(found)),
        "## G (L2C, table 7)",
        *(["Before and after it went on learning on the unlabelled alphabets (`self-train`)."] if after else []),
        table(["score", "G", *(["self-trained"] if after else []), "published"], g_rows(results)),
    ]
    for (method, k), group in groups(found).items():
        parts += [
            f"## {method}, K = {k}, by alphabet (L2C, tables 5 and 6: CCN with KCL at K = 100)",
            table(["alphabet", "characters", "ACC", "published", "NMI", *ESTIMATES, "published"], by_alphabet(group)),
        ]
        if "estimates" in group[0]:
            parts += [
                f"### {method}, K = {k}: error of the number of characters",
                table(["estimator", "ADif", "alphabets within 3"], count_errors(group)),
            ]
    parts += [
        "## The worst alphabets",
        f"The pairs of characters that the first run confuses most: ![two rows a pair]({picture})",
        table(["alphabet", "ACC", "similar precision of G", "similar recall of G"], worst_rows(results)),
    ]
    return "\n\n".join(parts) + "\n"


ESTIMATES = ["ndc", "eigengap", "linkage", "consensus", "spread"]


def groups(found: list[Run]) -> dict[tuple[str, str], list[Run]]:
    """Return the runs by method and K, in the order in which they were made."""
    result: dict[tuple[str, str], list[Run]] = {}
    for run in found:
        result.setdefault((run["method"], run["k"]), []).append(run)
    return result


def means(found: list[Run]) -> list[list[str]]:
    rows = []
    for (method, k), group in groups(found).items():
        published = OMNIGLOT_MEAN.get((method, k), {})
        cells = [spread([run["mean"][name] for run in group], published.get(name)) for name in ("acc", "nmi", "ari")]
        counted = k not in ("auto", "known")
        adif = spread([run["mean"]["adif"] for run in group], published.get("adif"), 2) if counted else ""
        rows.append([method, k, *cells, adif, str(len(group))])
    return rows


def worst(found: list[Run]) -> list[str]:
    """Return the three alphabets of lowest ACC in the first run."""
    subsets = found[0]["subsets"]
    return sorted(subsets, key=lambda name: (subsets[name]["acc"], name))[:3]


def worst_rows(results: dict[str, Any]) -> list[list[str]]:
    first, pairs = results["runs"][0]["subsets"], results.get(SELF_TRAINED, results["g"])["subsets"]
    return [
        [name, *(f"{value:.3f}" for value in (first[name]["acc"], *(pairs[name][f"similar_{kind}"] for kind in KINDS)))]
        for name in worst(results["runs"])
    ]


KINDS = ("precision", "recall")


def count_errors(group: list[Run]) -> list[list[str]]:
    """Return each estimator's mean absolute error over the alphabets (ADif) and how many it is right for within 3."""
    rows = []
    for kind in ESTIMATES[:-1]:
        errors = [
            [abs(run["estimates"][name][kind] - part["classes"]) for name, part in run["subsets"].items()]
            for run in group
        ]
        within = [sum(error <= 3 for error in one) for one in errors]
        rows.append([kind, spread([float(np.mean(one)) for one in errors], digits=2), spread(within, digits=1)])
    return rows


def g_rows(results: dict[str, Any]) -> list[list[str]]:
    found = [results[name]["mean"] for name in ("g", SELF_TRAINED) if name in results]
    return [
        [name, *(f"{scores[name]:.3f}" for scores in found), f"{N_WAY[name]:.3f}" if name in N_WAY else ""]
        for name in found[0]
    ]


def by_alphabet(group: list[Run]) -> list[list[str]]:
    rows = []
    for name, first in group[0]["subsets"].items():
        scores = [run["subsets"][name] for run in group]
        counted = [run["estimates"][name] for run in group if "estimates" in run]
        estimates = [spread([one[kind] for one in counted], digits=0) if counted else "" for kind in ESTIMATES]
        acc, k = OMNIGLOT_ACC[PUBLISHED].get(name), OMNIGLOT_K[PUBLISHED].get(name)
        rows.append(
            [
                name,
                f"{first['classes']:.0f}",
                spread([one["acc"] for one in scores]),
                "" if acc is None else f"{acc:.2f}",
                spread([one["nmi"] for one in scores]),
                *estimates,
                "" if k is None or not counted else str(k),
            ]
        )
    return rows
