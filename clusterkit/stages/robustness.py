"""robustness: how wrong pairs may be before clusters fail, a grid of clusterings of one set (L2C, appendix D)."""

import csv
import io
import logging
from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path

import numpy as np
import torch

from clusterkit.artifacts.files import together, write_text
from clusterkit.artifacts.header import resolved
from clusterkit.artifacts.lineage import run_key
from clusterkit.config import Context, Kind, RobustnessConfig
from clusterkit.datasets.base import Dataset, Subset
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.device import choose_device, derive_seed, describe
from clusterkit.errors import DivergedError, InputError, UsageError
from clusterkit.losses import Loss
from clusterkit.methods import CcnOptions
from clusterkit.methods.ccn import ccn
from clusterkit.methods.common.problem import Items, Question
from clusterkit.methods.common.problem import Run as Execution
from clusterkit.metrics.clustering import accuracy, nmi
from clusterkit.pairs.simulated import SimulatedPairs
from clusterkit.report.heat_maps import Maps, write_heat_maps
from clusterkit.training import StateFolder

log = logging.getLogger("clusterkit")

OUTPUT = "robustness.csv"
PICTURE = "robustness.png"


@dataclass(frozen=True)
class Cell:
    """What one clustering is of: the loss, its K, its pairs, and the seed of everything in it."""

    loss: Loss
    k: int
    density: float
    similar_recall: float
    dissimilar_recall: float
    seed: int

    @property
    def title(self) -> str:
        recalls = f"similar{self.similar_recall:g}-dissimilar{self.dissimilar_recall:g}"
        return f"{self.loss}-k{self.k}-density{self.density:g}-{recalls}-seed{self.seed}"


@dataclass(frozen=True)
class Run(Cell):
    """A cell's scores, to four digits. `failed` is 1 where the loss was no longer a number: one cluster, NMI 0."""

    nmi: float
    acc: float
    failed: int


@dataclass(frozen=True)
class RobustnessResult:
    artifact: Path
    picture: Path
    runs: list[Run]


def run(config: RobustnessConfig, context: Context) -> RobustnessResult:
    """Cluster the set once a cell of the grid and restart; write `robustness.csv` and `robustness.png`."""
    device = choose_device(context.device)
    data = load_dataset(config.dataset, context.data, offline=context.offline, size=config.size)
    subset = drawn(data, config.images, context.seed)
    if max(config.ks) > len(subset):
        raise UsageError(f"K = {max(config.ks)}: more clusters than {data.name} has images ({len(subset)})")
    path, picture = context.path(OUTPUT), context.path(PICTURE)
    states = StateFolder(path, context.resume)
    key = run_key("robustness", resolved(config), context.seed, data.to_learned(), describe(device))
    states.check_key(key)
    wanted, partial = list(cells(config, context.seed)), states.path / OUTPUT
    runs = read_runs(partial, wanted) if partial.exists() else []
    if runs:
        log.info("robustness: resumed after cell %d of %d", len(runs), len(wanted))
    for cell in wanted[len(runs) :]:
        state = states.file(cell.title)
        items = Items(
            subset=Subset(cell.title, subset.images, subset.ids, subset.labels),
            # As published, nothing is augmented.
            kind=Kind.VECTORS,
            shape=data.shape,
        )
        question = Question(k=cell.k, pairs=pairs_of(cell, subset), options=clustering(cell, config))
        how = Execution(seed=cell.seed, device=device, state=state, key=key, resume=context.resume)
        runs.append(scored(cell, items, question, how))
        write_text(partial, to_csv(runs))
        state.unlink(missing_ok=True)
        log.info("robustness: %d of %d, %s: NMI %.3f", len(runs), len(wanted), cell.title, runs[-1].nmi)
    with together(path, picture) as (table, drawing):
        table.write_text(to_csv(runs), encoding="utf-8")
        write_heat_maps(maps(runs), recalls(config), drawing)
    states.remove()
    return RobustnessResult(path, picture, runs)


def drawn(data: Dataset, images: int | None, seed: int) -> Subset:
    """Return so many random labelled items, or all of them. Raises InputError for a set without labels."""
    subset = data.labelled().union()
    if subset.labels is None:
        raise InputError(f"{data.name} has no labels to make pairs of")
    order = torch.randperm(len(subset), generator=torch.Generator().manual_seed(derive_seed(seed, "images")))
    # In this order they are clustered, which is not that of the files.
    return subset.take(order[:images])


def recalls(config: RobustnessConfig) -> list[float]:
    return [round(step / (config.steps - 1), 4) for step in range(config.steps)]


def cells(config: RobustnessConfig, seed: int) -> Iterator[Cell]:
    """Yield all cells in the order in which they are run and written, the restarts of one after another."""
    for loss in config.losses:
        for k in config.ks:
            for density in config.densities:
                for similar in recalls(config):
                    for dissimilar in recalls(config):
                        for restart in range(config.restarts):
                            yield Cell(Loss(loss), k, density, similar, dissimilar, seed + restart)


def pairs_of(cell: Cell, subset: Subset) -> SimulatedPairs:
    assert subset.labels is not None
    seed = derive_seed(cell.seed, "pairs", cell.title)
    return SimulatedPairs(subset.labels, cell.similar_recall, cell.dissimilar_recall, cell.density, seed)


def clustering(cell: Cell, config: RobustnessConfig) -> CcnOptions:
    return CcnOptions(
        loss=cell.loss,
        backbone=config.backbone,
        epochs=config.epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        optimizer=config.optimizer,
        # Not before the end, so that the rate stays as it is.
        drop_every=config.epochs,
    )


def scored(cell: Cell, items: Items, question: Question, how: Execution) -> Run:
    """Train a network on a cell's pairs; return how well its clusters agree with the labels."""
    assert items.subset.labels is not None
    labels, failed = items.subset.labels.numpy(), 0
    try:
        clusters = ccn(items, question, how).cluster
    except DivergedError:
        log.warning("robustness: %s: the loss is no longer a number; counted as one cluster", cell.title)
        clusters, failed = np.zeros(len(labels), np.int32), 1
    found, acc = round(nmi(clusters, labels), 4), round(accuracy(clusters, labels), 4)
    return Run(**asdict(cell), nmi=found, acc=acc, failed=failed)


def maps(runs: list[Run]) -> Maps:
    """Return the best NMI of the restarts of each cell, a map a loss, K and density."""
    best: dict[tuple[str, int, float], dict[tuple[float, float], float]] = {}
    for one in runs:
        found = best.setdefault((str(one.loss), one.k, one.density), {})
        place = (one.similar_recall, one.dissimilar_recall)
        found[place] = max(one.nmi, found.get(place, 0))
    side = round(len(next(iter(best.values()))) ** 0.5)
    return {name: np.array(list(found.values())).reshape(side, side) for name, found in best.items()}


def to_csv(runs: list[Run]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(Run))
    writer.writerows(astuple(one) for one in runs)
    return text.getvalue()


def read_runs(path: Path, wanted: list[Cell]) -> list[Run]:
    """Read the cells that an interrupted run finished, the first of those wanted.

    Raises InputError where it holds anything else.
    """
    try:
        lines = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))[1:]
        runs = [
            Run(**asdict(cell), nmi=float(line[-3]), acc=float(line[-2]), failed=int(line[-1]))
            for cell, line in zip(wanted, lines, strict=False)
        ]
        whole = list(csv.reader(to_csv(runs).splitlines()))[1:] == lines
    except (OSError, ValueError, IndexError, csv.Error) as error:
        raise damaged(path) from error
    if not whole:
        raise damaged(path)
    return runs


def damaged(path: Path) -> InputError:
    return InputError(f"{path}: damaged; start again without --resume")
