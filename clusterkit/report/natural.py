"""The tables of unseen categories of photos in Markdown, ours beside the published figures."""

from typing import Any

from clusterkit.report.published import IMAGENET_PAIRS, NATURAL
from clusterkit.report.tables import spread, table

Found = dict[str, Any]


def markdown(results: Found) -> str:
    """Return all tables of what `reproduce natural` found."""
    sets = results["sets"]
    parts = [
        "# Unseen categories of photos",
        f"After {results['budget']:g} of the epochs, {results['precision']}; mean ± standard deviation over the seeds "
        "of the clustering; published figures in brackets.",
        table(
            ["set", "method", "K", "ACC", "NMI", "ARI", "clusters", "seeds"],
            [line for name, found in sets.items() for line in clusters(name, found["runs"])],
        ),
        "## Pairs of the unseen classes by G (L2C, table 9)",
        table(
            ["set", "score", "G", "published"], [line for name, found in sets.items() for line in pairs(name, found)]
        ),
        "## Trained with",
        table(
            ["set", "network", "epochs of the classifier", "of G", "of a clustering"],
            [[name, *(str(value) for value in found["trained"].values())] for name, found in sets.items()],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def clusters(name: str, runs: list[Found]) -> list[list[str]]:
    groups: dict[tuple[str, str], list[Found]] = {}
    for run in runs:
        groups.setdefault((run["method"], run["k"]), []).append(run)
    rows = []
    for (method, k), group in groups.items():
        published = NATURAL.get((name, method, k), {})
        cells = [spread([run[score] for run in group], published.get(score)) for score in ("acc", "nmi", "ari")]
        rows.append([name, method, k, *cells, spread([run["clusters"] for run in group], digits=0), str(len(group))])
    return rows


def pairs(name: str, found: Found) -> list[list[str]]:
    return [
        [name, score.replace("_", " "), f"{found['g'][score]:.3f}", f"{said:.3f}" if name == "imagenet" else ""]
        for score, said in IMAGENET_PAIRS.items()
    ]
