"""Files of clusterkit as data frames. pandas is not a dependency, so it is imported on use."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from clusterkit.python.loading import Artifact

NETWORKS = ("g", "pretrained", "ccn", "adapted", "critic", "state")


def to_frame(artifact: "Artifact") -> Any:
    """Return the data frame of a file. Raises ImportError without pandas, and TypeError for pairs."""
    columns = columns_of(artifact)
    try:
        import pandas
    except ImportError as error:
        raise ImportError("to_pandas needs pandas, which is not installed; run: pip install pandas") from error
    return pandas.DataFrame(columns)


def columns_of(artifact: "Artifact") -> dict[str, Any]:
    """Return the columns by name. Raises TypeError for pairs, which are not a table."""
    kind = artifact.header["format"]
    if kind == "assignments":
        return assignments(artifact)
    if kind in NETWORKS:
        return transposed(artifact.history)
    if kind == "evaluation":
        return transposed([{"subset": title, **scores} for title, scores in artifact["subsets"].items()])
    if kind == "k":
        recommended = artifact["recommended"]
        return transposed(
            [
                {"subset": title, **estimates, "recommended": recommended[title]}
                for title, estimates in artifact["estimates"].items()
            ]
        )
    raise TypeError(
        f"{artifact.path}: holds {kind}, which are not a table; read the arrays, as in load(...)[SUBSET]['id']"
    )


def assignments(artifact: "Artifact") -> dict[str, Any]:
    """Return one row per item. `probability` is that of its cluster, NaN for an item in no cluster.

    If some clusters have names, `name` is that of the item's cluster, None without.
    """
    parts: dict[str, list[Any]] = {"subset": [], "id": [], "cluster": [], "probability": []}
    extra = artifact.header["extra"]
    if extra.get("classes") or extra.get("names"):
        parts["name"] = []
    for title, group in artifact.items():
        cluster, prob = group["cluster"], group["prob"]
        probability = np.full(len(cluster), np.nan, np.float32)
        inside = np.flatnonzero(cluster >= 0)
        probability[inside] = prob[inside, cluster[inside]]
        parts["subset"].append(np.full(len(cluster), title, object))
        parts["id"].append(group["id"])
        parts["cluster"].append(cluster)
        parts["probability"].append(probability)
        if "name" in parts:
            names = artifact.names(title) or [None] * prob.shape[1]
            parts["name"].append(np.array([*names, None], object)[cluster])
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def transposed(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return the columns of rows, with None for a name that a row lacks."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}
