"""Artifacts as data frames of pandas, which is no dependency."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from clusterkit.python.loading import Artifact

NETWORKS = ("g", "pretrained", "ccn", "adapted", "state")


def to_frame(artifact: "Artifact") -> Any:
    """Return the data frame of an artifact. Raises ImportError without pandas, and TypeError for pairs."""
    columns = columns_of(artifact)
    try:
        import pandas
    except ImportError as error:
        raise ImportError("to_pandas needs pandas, which is not installed; run: pip install pandas") from error
    return pandas.DataFrame(columns)


def columns_of(artifact: "Artifact") -> dict[str, Any]:
    """Return the columns by name. Raises TypeError for an artifact that is no table."""
    kind = artifact.header["format"]
    if kind == "assignments":
        return assignments(artifact)
    if kind in NETWORKS:
        return transposed(artifact.history)
    if kind == "evaluation":
        return transposed([{"subset": title, **scores} for title, scores in artifact["subsets"].items()])
    if kind == "k":
        found = artifact["recommended"]
        return transposed(
            [{"subset": title, **of, "recommended": found[title]} for title, of in artifact["estimates"].items()]
        )
    raise TypeError(f"{artifact.path}: holds {kind}, which are no table; read the arrays, as load(...)[SUBSET]['id']")


def assignments(artifact: "Artifact") -> dict[str, Any]:
    """Return a row an item; `probability` is that of its cluster, NaN for an item in none."""
    parts: dict[str, list[Any]] = {"subset": [], "id": [], "cluster": [], "probability": []}
    for title, group in artifact.items():
        cluster, prob = group["cluster"], group["prob"]
        own = np.full(len(cluster), np.nan, np.float32)
        inside = np.flatnonzero(cluster >= 0)
        own[inside] = prob[inside, cluster[inside]]
        parts["subset"].append(np.full(len(cluster), title, object))
        parts["id"].append(group["id"])
        parts["cluster"].append(cluster)
        parts["probability"].append(own)
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def transposed(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return rows as columns; what a row lacks is None."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}
