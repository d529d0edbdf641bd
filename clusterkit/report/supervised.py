"""CCL's tables of supervised clustering in Markdown, ours beside the published figures."""

from typing import Any

from clusterkit.report.published import SUPERVISED
from clusterkit.report.tables import spread, table

Run = dict[str, Any]
NAMES = {"ce": "CE", "kcl": "KCL", "ccl": "CCL"}


def markdown(results: dict[str, Any]) -> str:
    """Return the table of what `reproduce supervised` found, and what each network was trained with."""
    found = results["runs"]
    losses = list(dict.fromkeys(run["loss"] for run in found))
    parts = [
        "# Supervised clustering",
        f"Accuracy on the test set after {results['budget']:g} of the papers' epochs, {results['precision']}; mean ± "
        "standard deviation over the seeds; published figures in brackets (CCL, tables 1 and 2). CE learns from "
        "labels, and its outputs are classes. KCL and CCL learn from all true pairs of each batch; their clusters are "
        "matched with classes one to one, and how many of them are not empty stands behind.",
        table(
            ["set", "network", "K", *(NAMES[loss] for loss in losses), "clusters", "seeds"],
            [row(group, losses) for group in grouped(found).values()],
        ),
        "## Trained with",
        table(
            ["set", "epochs", "batch", "optimizer", "learning rate", "divided by ten every"],
            dict.fromkeys(trained(run) for run in found),
        ),
    ]
    return "\n\n".join(parts) + "\n"


def grouped(found: list[Run]) -> dict[tuple[str, str], list[Run]]:
    """Return the runs by set and network, in the order in which they were made."""
    result: dict[tuple[str, str], list[Run]] = {}
    for run in found:
        result.setdefault((run["set"], run["backbone"]), []).append(run)
    return result


def row(group: list[Run], losses: list[str]) -> list[str]:
    name, network, k = (group[0][key] for key in ("set", "backbone", "k"))
    published = SUPERVISED.get((name, network), {})
    by_loss = {loss: [run for run in group if run["loss"] == loss] for loss in losses}
    accuracies = [
        spread([run["accuracy" if loss == "ce" else "acc"] for run in some], published.get(loss))
        for loss, some in by_loss.items()
    ]
    clusters = [spread([run["clusters"] for run in some], digits=0) for loss, some in by_loss.items() if loss != "ce"]
    return [name, network, str(k), *accuracies, ", ".join(clusters), str(len(group) // len(losses))]


def trained(run: Run) -> tuple[str, ...]:
    names = ("set", "epochs", "batch_size", "optimizer", "learning_rate", "drop_every")
    return tuple(f"{run[name]:g}" if isinstance(run[name], float) else str(run[name]) for name in names)
