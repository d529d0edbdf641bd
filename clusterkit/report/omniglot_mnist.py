"""The tables of Omniglot to MNIST in Markdown, ours beside the published figures."""

from typing import Any

from clusterkit.report.published import MNIST_PAIRS, OMNIGLOT_MNIST, SPN_N_WAY
from clusterkit.report.tables import table

Found = dict[str, Any]
PARTS = ("train", "test")


def markdown(results: Found) -> str:
    """Return all tables of what `reproduce omniglot-mnist` found."""
    targets = results["targets"]
    parts = [
        "# Omniglot to MNIST",
        "Published figures are of MNIST and stand in brackets or in a column of their own. NMI is over the geometric "
        "mean of the entropies.",
        "## Clusters (SPN, table 2)",
        "Ten outputs, by the pairs of G as it was transferred. The test set is fed to the network that was trained "
        "on the pairs of the training set.",
        table(
            ["target", "loss", "epochs", "rounds", *(f"{score} {part}" for part in PARTS for score in ("ACC", "NMI"))],
            [clusters(name, run) for name, found in targets.items() for run in found["runs"]],
        ),
        "## One-shot tests of G (SPN, table 1)",
        table(["set", "ways", "G", "self-trained", "published"], one_shot(results)),
        "## Pairs by G (L2C, table 13)",
        "All pairs of the test set, or of the only set there is, binarised at one half.",
        table(
            ["target", "score", "G", "self-trained", "published"],
            [line for name, found in targets.items() for line in pairs(name, found)],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def clusters(name: str, run: Found) -> list[str]:
    cells = [name, run["loss"].upper(), str(run["epochs"]), str(run["rounds"])]
    for part in PARTS:
        for score in ("acc", "nmi"):
            said = f" ({OMNIGLOT_MNIST[f'{score} {part}']:.3f})" if name == "mnist" else ""
            cells.append(f"{run[part][score]:.3f}{said}" if part in run else "")
    return cells


def one_shot(results: Found) -> list[list[str]]:
    rows = [
        ["omniglot_eval", name.split("_")[0], f"{value:.3f}", "", f"{SPN_N_WAY[name]:.3f}"]
        for name, value in results["characters"].items()
    ]
    for name, found in results["targets"].items():
        said = f"{SPN_N_WAY['10_way']:.3f}" if name == "mnist" else ""
        rows.append([name, "10", *before_and_after(found, "10_way"), said])
    return rows


def pairs(name: str, found: Found) -> list[list[str]]:
    return [
        [name, score.replace("_", " "), *before_and_after(found, score), f"{said:.3f}" if name == "mnist" else ""]
        for score, said in MNIST_PAIRS.items()
    ]


def before_and_after(found: Found, score: str) -> list[str]:
    return [f"{found[g][score]:.3f}" if g in found else "" for g in ("g", "self-trained g")]
