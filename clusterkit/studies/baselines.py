"""Compare all clustering methods on the same pairs (L2C, tables 1, 5 and 6; SPN, table 2).

Trains G on omniglot_bg and predicts the pairs of omniglot_eval and of random images of mnist_test once. Clusters each
set by every method, K and seed, each time in a new process, and measures its time and memory. Writes baselines.md,
baselines.json and results.csv. All files are in the folder baselines of --workdir, with one folder per set and run.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from clusterkit.config import ClusterConfig, Context, PredictPairsConfig, SelfTrainConfig
from clusterkit.errors import UsageError
from clusterkit.losses import Loss
from clusterkit.methods import METHODS, CcnOptions, reads_pairs, with_options
from clusterkit.metrics.rows import Row
from clusterkit.settings import CountedBy, Features, File, Flag, Init, K, Options, parse_k
from clusterkit.studies.common import measured, runs
from clusterkit.studies.common.driver import Outcome, Study
from clusterkit.studies.common.flags import Clusterings, GFile
from clusterkit.studies.common.published import figures
from clusterkit.studies.common.tables import (
    Cell,
    Heading,
    Part,
    Rows,
    Table,
    first,
    mean,
    pivot,
    subsets,
    titled,
    where,
)

EXAMPLE = "Example: clusterkit reproduce baselines --set omniglot --method kmeans --method ccn --seeds 1"

G = runs.OMNIGLOT_G
SETS = {"omniglot": "omniglot_eval", "mnist": "mnist_test"}
SAMPLED = ("mnist",)
"""The sets of which only a random sample is clustered."""
SIZE = 28
"""Height and width of the images of a sample, in pixels: MNIST's own."""
PIXELS = "spectral-pixels"
BASELINES = [name for name, method in METHODS.items() if not method.joint]
"""The methods of the comparison: those that read pairs, or nothing but the items."""
ROWS = {
    **{f"ccn-{loss}": ClusterConfig(options=CcnOptions(loss=loss, init=Init.G)) for loss in Loss},
    **{method: ClusterConfig(method=method) for method in BASELINES if method != ClusterConfig.method},
    PIXELS: ClusterConfig(method="spectral", features=Features.PIXELS),
}
"""The settings of each clustering, by the start of its folder's name."""
NAMES = [*BASELINES, PIXELS]
BROAD = str(ClusterConfig.k)
"""The K of the papers' comparison with unknown K."""
SELF_TRAINING = SelfTrainConfig.rounds
GIB = 2**30
COSTS = (
    "Seconds are the time of the whole stage, summed over all subsets. GiB is the peak memory of its process, with "
    "Python and its libraries."
)


@dataclass(frozen=True, kw_only=True)
class BaselinesOptions(Options):
    sets: Annotated[
        tuple[str, ...] | None,
        Flag(name="set", help="Data set to cluster; may be repeated.", choices=SETS, default="all that are present"),
    ] = None
    g: GFile = None
    epochs: Annotated[int, Flag(help="Passes of G over omniglot_bg.", min=1)] = runs.OMNIGLOT_EPOCHS
    method: Annotated[
        tuple[str, ...] | None,
        Flag(
            help="Method of cluster, or spectral-pixels, which is spectral without pairs; may be repeated.",
            choices=NAMES,
            metavar="NAME",
            default="all",
        ),
    ] = None
    k: Annotated[
        tuple[K, ...],
        Flag(
            help="Number of clusters, or known (an oracle, which counts the classes); may be repeated.",
            read=parse_k,
            metavar="[N|known]",
        ),
    ] = (CountedBy.LABELS, ClusterConfig.k)
    images: Annotated[int, Flag(help="Number of random images of MNIST's test set.", min=2, max=10_000)] = 1000
    seeds: Clusterings = 1
    self_train: Annotated[bool, Flag(help="Run self-train on each unlabelled set before its pairs are predicted.")] = (
        False
    )


def run(options: BaselinesOptions, context: Context) -> Outcome:
    """Return the scores, seconds and memory of each method, K and seed on each set."""
    names = runs.parts_at_hand("set", options.sets, {name: [data] for name, data in SETS.items()}, context)
    configs = {row: ROWS[row] for name in options.method or NAMES for row in row_names(name)}
    check(configs.values(), options.k, options.images if set(names) & set(SAMPLED) else None, context)
    g = runs.g_for(options.g, replace(G, epochs=options.epochs), context)
    rows = []
    for name in names:
        inner = runs.subfolder(context, f"{name}-{options.images}" if name in SAMPLED else name)
        data = sample(SETS[name], options.images, inner) if name in SAMPLED else SETS[name]
        pairs = pairs_of(data, g, options.self_train, inner)
        for row, config in configs.items():
            for k in numbers(config, options.k):
                for seed in range(context.seed, context.seed + options.seeds):
                    rows += cluster_and_score(name, row, replace(config, dataset=data, k=k), pairs, inner, seed)
    return Outcome(rows)


def row_names(name: str) -> list[str]:
    """Return the names in ROWS of a method: one by loss for CCN, its own name for the others."""
    return [f"{name}-{loss}" for loss in Loss] if name == ClusterConfig.method else [name]


def numbers(config: ClusterConfig, ks: tuple[K, ...]) -> tuple[K, ...]:
    """Return the values of K to run a method with: the default alone if it finds K itself."""
    return (ClusterConfig.k,) if METHODS[config.method].finds_k else ks


def check(configs: Collection[ClusterConfig], ks: tuple[K, ...], images: int | None, context: Context) -> None:
    """Raise UsageError for an impossible K before G is trained. `images` is the size of the sample, if there is one."""
    from clusterkit.stages import cluster

    if CountedBy.ESTIMATE in ks:
        raise UsageError("--k auto: all methods must have the same K; give a number, or known")
    for config in configs:
        for k in numbers(config, ks):
            cluster.check(replace(config, k=k), replace(context, resume=False))
    for k in ks:
        if images is not None and isinstance(k, int) and k > images:
            raise UsageError(
                f"--images {images}: fewer than the clusters of --k {k}; give more images or a smaller --k"
            )


def sample(name: str, images: int, context: Context) -> str:
    """Write random grey images of a set to `sample.npz`, x uint8 (N, 28, 28) and y (N,); return its data set name.

    Raises InputError if the set has no labels.
    """
    import numpy as np
    from torch import Tensor

    from clusterkit.artifacts.files import atomic
    from clusterkit.datasets.catalogue import load_dataset

    subset = runs.random_items(
        load_dataset(name, context.data, offline=context.offline, reading=context.reading, size=SIZE),
        images,
        context.seed,
    )
    assert isinstance(subset.images, Tensor)
    assert subset.labels is not None
    path = context.path("sample.npz")
    with atomic(path) as staged, staged.open("wb") as file:
        np.savez(file, x=subset.images[:, 0].numpy(), y=subset.labels.numpy())
    return f"arrays:{path}"


def pairs_of(data: str, g: Path, self_train: bool, context: Context) -> Path:
    """Predict the pairs that all methods share; return their file, which lies beside a copy of G."""
    g_file = runs.copy_g(g, context)
    if self_train:
        g_file = runs.run_stage(SelfTrainConfig(dataset=data, rounds=SELF_TRAINING), context)
    return runs.run_stage(PredictPairsConfig(dataset=data, g=g_file.name), context)


def cluster_and_score(
    name: str, row: str, config: ClusterConfig, pairs: Path, context: Context, seed: int
) -> list[Row]:
    """Cluster a set in its own folder; return the scores, with seconds and memory in the rows of means."""
    inner = runs.subfolder(context, f"{row}-k{config.k}-seed{seed}", seed)
    config = with_options(replace(config, pairs=File(str(pairs)) if reads_pairs(config) else config.pairs))
    cost = measured.cluster(config, inner)
    loss = config.options.loss if isinstance(config.options, CcnOptions) else ""
    method = PIXELS if row == PIXELS else config.method
    rows = runs.scores(inner, set=name, method=method, loss=loss, k=str(config.k))
    if METHODS[config.method].finds_k:
        rows.append(adif(rows))
    return [replace(row, seconds=cost.seconds, bytes=cost.peak_bytes) if row.subset == "mean" else row for row in rows]


def adif(rows: Rows) -> Row:
    """Return the row of ADif: the mean absolute difference between the numbers of clusters and classes."""
    counts = [[row.value for row in subsets(where(rows, metric=name))] for name in ("clusters", "classes")]
    errors = [abs(clusters - classes) for clusters, classes in zip(*counts, strict=True)]
    return replace(rows[0], subset="mean", metric="adif_clusters", value=sum(errors) / len(errors))


def document(options: BaselinesOptions, outcome: Outcome) -> list[Part]:
    """Return the tables of each set. Methods of the papers come first, in the papers' order."""
    training = "after self-train on the unlabelled set" if options.self_train else "as transferred"
    published = [(figure.method, figure.loss) for figure in figures()]
    order = list(dict.fromkeys([*published, *((name, "") for name in BASELINES)]))
    rows = sorted(outcome.rows, key=lambda row: order.index((row.method, row.loss)))
    return [
        Heading("Baselines", 1),
        f"All methods that use pairs use the same ones, of G {training}. Published figures are in brackets. Scores of "
        "several seeds are mean ± standard deviation. An o marks what the pairs shape: the metric, or the clusters.",
        "In columns without a number, K is known by an oracle, which counts the classes of the labels. Methods that "
        f"find K themselves are in the columns of {BROAD}.",
        *(
            part
            for name in dict.fromkeys(row.set for row in outcome.rows)
            for part in SECTIONS[name](where(rows, set=name), options)
        ),
    ]


def omniglot(rows: Rows, options: BaselinesOptions) -> list[Part]:
    broad = where(rows, k=BROAD)
    alphabets: list[Part] = [
        Heading(f"ACC at K = {BROAD} by alphabet, in percent (L2C, table 5; CCL, table 4)", 3),
        pivot(
            broad,
            {"alphabet": lambda row: "average" if row.subset == "mean" else row.subset},
            [(title, mean("acc", digits=0, scale=100, **fields)) for title, fields in by_method(broad)],
        ),
    ]
    return [
        Heading("Twenty alphabets (L2C, table 1; CCL, table 4)"),
        f"Scores are means over the alphabets. {COSTS}",
        means(rows),
        *(alphabets if broad else []),
        *cluster_counts(rows, "Estimated number of characters (L2C, table 6)"),
    ]


def mnist(rows: Rows, options: BaselinesOptions) -> list[Part]:
    return [
        Heading(f"{options.images} random images of MNIST's test set (SPN, table 2: all 10,000 of them)"),
        COSTS,
        means(rows),
        *cluster_counts(rows, "Estimated number of digits"),
    ]


SECTIONS = {"omniglot": omniglot, "mnist": mnist}


def title_of(row: Row) -> str:
    return "spectral, pixels" if row.method == PIXELS else titled(row)


def by_method(rows: Rows) -> list[tuple[str, dict[str, Any]]]:
    """Return the title of each method and the fields that select its rows."""
    return list({title_of(row): {"method": row.method, "loss": row.loss} for row in rows}.items())


def pair_mark(part: str) -> Callable[[Row], str]:
    """Return the label of a row: an o if the pairs shape this part of its method, the metric or the clusters."""
    return lambda row: "o" if row.method in METHODS and part in METHODS[row.method].shapes else ""


def means(rows: Rows) -> Table:
    """Return the table of the methods: scores, seconds and memory by K."""
    ks = sorted({row.k for row in rows}, key=lambda k: int(k) if k.isdecimal() else 0)
    cells: list[tuple[str, Callable[[str], Cell]]] = [
        ("ACC", lambda k: mean("acc", k=k)),
        ("NMI", lambda k: mean("nmi", k=k)),
        ("seconds", lambda k: mean("acc", field="seconds", digits=1, k=k)),
        ("GiB", lambda k: mean("acc", field="bytes", digits=2, scale=1 / GIB, k=k)),
    ]
    columns = [(f"{title} ({k})" if k.isdecimal() else title, cell(k)) for title, cell in cells for k in ks]
    labels = {
        "method": title_of,
        "pairs shape the metric": pair_mark("metric"),
        "pairs shape the clusters": pair_mark("clusters"),
    }
    return pivot(where(rows, subset="mean"), labels, columns)


def cluster_counts(rows: Rows, title: str) -> list[Part]:
    """Return the table of the numbers of clusters of methods that find K, with ADif; nothing without such methods."""
    finders = [row for row in rows if row.method in METHODS and METHODS[row.method].finds_k]
    if not finders:
        return []
    columns = by_method(finders)
    counts = [
        ("classes", first("classes", digits=0)),
        *((name, mean("clusters", digits=0, **fields)) for name, fields in columns),
    ]
    errors = [("", first("")), *((name, mean("adif_clusters", digits=2, **fields)) for name, fields in columns)]
    table = pivot(subsets(finders), {"subset": "subset"}, counts)
    last = pivot(where(finders, subset="mean"), {"subset": lambda row: "ADif"}, errors)
    return [
        Heading(title, 3),
        "ADif is the mean absolute difference from the number of classes.",
        Table(table.head, table.lines + last.lines),
    ]


STUDY = Study(__doc__, EXAMPLE, BaselinesOptions, ("L2C", "CCL", "SPN"), run, document)
