"""clusterkit reproduce baselines"""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from clusterkit.cli.common import Common, Resume, with_common
from clusterkit.cli.reproduce import measured, runs
from clusterkit.config import (
    ClusterConfig,
    Context,
    PredictPairsConfig,
    SelfTrainConfig,
)
from clusterkit.errors import UsageError
from clusterkit.losses import Loss
from clusterkit.methods import METHODS, CcnOptions, reads_pairs, with_options
from clusterkit.settings import CountedBy, Features, File, Init, K, parse_k

EXAMPLE = "Example: clusterkit reproduce baselines --set omniglot --method kmeans --method ccn --seeds 1"

G = runs.OMNIGLOT_G
SETS = {"omniglot": "omniglot_eval", "mnist": "mnist_test"}
SAMPLED = ("mnist",)
"""Sets of which a sample is clustered."""
IMAGES, SIZE = 1000, 28
"""How many images are drawn, and their height and width, as MNIST has them."""
KS = ["known", str(ClusterConfig.k)]
ROWS = {method: {method: ClusterConfig(method=method)} for method in METHODS}
ROWS["ccn"] = {f"ccn-{loss}": ClusterConfig(options=CcnOptions(loss=loss, init=Init.G)) for loss in Loss}
ROWS["spectral-pixels"] = {"spectral-pixels": ClusterConfig(method="spectral", features=Features.PIXELS)}
"""The rows of the tables by the name that asks for them."""
SELF_TRAINING = SelfTrainConfig.rounds


def register(group: typer.Typer) -> None:
    group.command("baselines", epilog=EXAMPLE)(with_common(baselines))


def baselines(
    common: Common,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="[omniglot|mnist]", help="May be repeated.", show_default="all that are here"),
    ] = None,
    g: Annotated[Path | None, typer.Option(help="A G to take instead of training one.")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="How long G is trained on omniglot_bg.")] = G.epochs,
    method: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="One of cluster, or spectral-pixels; may be repeated.", show_default="all"),
    ] = None,
    k: Annotated[
        list[str], typer.Option(help="Number of clusters, or known (an oracle: it counts the classes); repeatable.")
    ] = KS,
    images: Annotated[
        int, typer.Option(min=2, max=10_000, help="How many images of MNIST's test set are drawn.")
    ] = IMAGES,
    seeds: Annotated[int, typer.Option(min=1, help="How often each clustering is repeated.")] = 1,
    self_train: Annotated[
        bool, typer.Option(help="Let G go on learning on each unlabelled set before it predicts its pairs.")
    ] = False,
    resume: Resume = False,
) -> None:
    """Every method of clustering on the same pairs: L2C, tables 1, 5 and 6; SPN, table 2.

    Trains G on omniglot_bg, predicts the pairs of omniglot_eval and of random images of mnist_test once, and clusters
    them by each method, K and seed, in a process of its own that tells its seconds and its peak memory. Writes
    baselines.md and baselines.json. All artifacts are in the folder baselines of --workdir, one folder a set and run.
    """
    from clusterkit.report import baselines as report

    names = runs.wanted("set", sets, {name: [data] for name, data in SETS.items()}, common.context)
    rows, ks = rows_of(method), [parse_k(number) for number in dict.fromkeys(k)]
    context = runs.inside(common.context, "baselines")
    check(rows, ks, images if set(names) & set(SAMPLED) else None, context)
    given = runs.g_for(g, replace(G, epochs=epochs), context)
    results: dict[str, Any] = {"self-trained": self_train, "sets": {}}
    for name in names:
        inner = runs.inside(context, f"{name}-{images}" if name in SAMPLED else name)
        data = sample(SETS[name], images, inner) if name in SAMPLED else SETS[name]
        pairs = pairs_of(data, given, self_train, inner)
        results["sets"][name] = {
            "images": images if name in SAMPLED else None,
            "runs": [
                run(row, replace(config, dataset=data), number, pairs, inner, seed)
                for row, config in rows.items()
                for number in numbers(config, ks)
                for seed in range(context.seed, context.seed + seeds)
            ],
        }
    runs.write_tables("baselines", report.markdown(results), results, context, common.as_json)


def rows_of(methods: list[str] | None) -> dict[str, ClusterConfig]:
    """Return the rows of the methods asked for, or all. Raises UsageError for a method that is none."""
    asked = list(ROWS) if methods is None else methods
    runs.unknown("method", asked, list(ROWS))
    return {row: config for name in asked for row, config in ROWS[name].items()}


def numbers(config: ClusterConfig, ks: list[K]) -> list[K]:
    """Return the K that a method is run with: what it does not need stays at its default."""
    return [ClusterConfig.k] if METHODS[config.method].finds_k else ks


def check(rows: dict[str, ClusterConfig], ks: list[K], images: int | None, context: Context) -> None:
    """Raise UsageError for a K that cannot be, before G is trained; `images` is the size of the sample, if any."""
    from clusterkit.stages import cluster

    if CountedBy.ESTIMATE in ks:
        raise UsageError("--k auto: all methods are to have the same K; give a number, or known")
    for config in rows.values():
        for number in numbers(config, ks):
            cluster.check(replace(config, k=number), replace(context, resume=False))
    for number in ks:
        if images is not None and isinstance(number, int) and number > images:
            raise UsageError(f"--images {images}: fewer than the clusters of --k {number}")


def sample(name: str, images: int, context: Context) -> str:
    """Write random grey images of a set as `sample.npz`, x uint8 (N, 28, 28) and y (N,); return its name as a data set.

    Raises InputError where the set has no labels.
    """
    import numpy as np
    from torch import Tensor

    from clusterkit.artifacts.files import atomic
    from clusterkit.datasets.catalogue import load_dataset
    from clusterkit.stages.robustness import drawn

    subset = drawn(load_dataset(name, context.data, offline=context.offline, size=SIZE), images, context.seed)
    assert isinstance(subset.images, Tensor)
    assert subset.labels is not None
    path = context.path("sample.npz")
    with atomic(path) as staged, staged.open("wb") as file:
        np.savez(file, x=subset.images[:, 0].numpy(), y=subset.labels.numpy())
    return f"arrays:{path}"


def pairs_of(data: str, g: Path, self_train: bool, context: Context) -> Path:
    """Return the pairs that all methods share, with the G beside them that predicted them."""
    chosen = runs.taken(g, context)
    if self_train:
        chosen = runs.self_train(SelfTrainConfig(dataset=data, rounds=SELF_TRAINING), context)
    return runs.predict_pairs(PredictPairsConfig(dataset=data, g=chosen.name), context)


def run(row: str, config: ClusterConfig, k: K, pairs: Path, context: Context, seed: int) -> dict[str, Any]:
    """Cluster a set in a folder of its own; return the scores and what it cost."""
    inner = runs.inside(context, f"{row}-k{k}-seed{seed}", seed)
    config = with_options(replace(config, k=k, pairs=File(str(pairs)) if reads_pairs(config) else config.pairs))
    cost = measured.cluster(config, inner)
    found = {"method": row, "k": str(k), "finds_k": METHODS[config.method].finds_k, "seed": seed}
    return {**found, **asdict(cost), **runs.scores(inner)}
