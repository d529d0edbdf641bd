"""The ordinary stages, chained for a study: each writes its ordinary artifact, and a finished one can be kept."""

import shlex
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clusterkit import console
from clusterkit.config import (
    G_FILE,
    AdaptConfig,
    AssignConfig,
    Backbone,
    ClusterConfig,
    Context,
    EstimateKConfig,
    EvaluateConfig,
    PredictPairsConfig,
    PretrainConfig,
    SelfTrainConfig,
    TrainGConfig,
    Variation,
)
from clusterkit.errors import InputError, UsageError
from clusterkit.methods import METHODS, with_options
from clusterkit.metrics.rows import Row, rows_of

if TYPE_CHECKING:
    from clusterkit.datasets.base import Dataset, Subset

OMNIGLOT_G = TrainGConfig(
    dataset="omniglot_bg",
    backbone=Backbone.CONV4_FINE,
    size=64,
    epochs=100,
    learning_rate=3e-3,
    variation=Variation.STRONG,
)
"""The G of the studies that start from Omniglot."""


STAGES: dict[type[Any], tuple[str, tuple[str, ...]]] = {
    PretrainConfig: ("pretrain", ()),
    TrainGConfig: ("train-g", ("init",)),
    SelfTrainConfig: ("self-train", ("g",)),
    PredictPairsConfig: ("predict-pairs", ("g",)),
    AssignConfig: ("assign", ("model",)),
    AdaptConfig: ("adapt", ("pairs",)),
}
"""The stage of each configuration, and which of its fields name a file that the stage reads."""


def made(config: object, context: Context) -> Path:
    """Return the artifact that a stage writes in a work folder; it is run unless `--resume` can keep an earlier one."""
    command, names = STAGES[type(config)]
    stage = import_module(f"clusterkit.stages.{command.replace('-', '_')}")
    files = {name: getattr(config, name) for name in names}
    inputs = {name: context.find(str(file)) for name, file in files.items() if file is not None}
    path: Path = context.path(stage.OUTPUT)
    if not kept(path, config, context, **inputs):
        announce(command_line(command, config), context)
        stage.run(config, context)
    return path


def kept(path: Path, config: object, context: Context, **inputs: Path) -> bool:
    """Return whether `--resume` is given and an earlier run made the artifact; say so."""
    from clusterkit.datasets.current import up_to_date

    keeps = context.resume and up_to_date(path, config, context, **inputs)
    if keeps:
        console.log.info("%s: kept, an earlier run of this command made it", path)
    return keeps


def command_line(command: str, config: object) -> str:
    """Return the command that a configuration stands for, with the flags that are not at their defaults."""
    return shlex.join([command, *words_of(config)])


def words_of(config: object) -> Iterator[str]:
    """Yield what is typed for a configuration after the command."""
    for field in fields(config):  # type: ignore[arg-type]
        value, flag = getattr(config, field.name), field.name.replace("_", "-")
        if is_dataclass(value) and field.name == "options":
            yield from words_of(value)
        elif field.name in ("dataset", "source", "target"):
            yield str(value)
        elif field.default is MISSING or value != field.default:
            yield from (
                [f"--{flag}" if value else f"--no-{flag}"] if isinstance(value, bool) else [f"--{flag}", str(value)]
            )


def g_for(g: Path | None, config: TrainGConfig, context: Context) -> Path:
    """Return `g.safetensors` of a work folder: a copy of the one given, or trained unless it can be kept."""
    return made(config, context) if g is None else taken(g, context)


def taken(g: Path, context: Context) -> Path:
    """Copy a G into the work folder, whole or not at all. Raises InputError where it is none."""
    from clusterkit.artifacts.checkpoint import write_checkpoint
    from clusterkit.networks.read import read_g

    header, network = read_g(g)
    path = context.path(G_FILE)
    if not (path.exists() and path.samefile(g)):
        # A file names a user's own data by the path from its folder, so that a copy of its bytes would not find them.
        write_checkpoint(path, header, network.state_dict())
    return path


def cluster(config: ClusterConfig, context: Context) -> Path:
    """Return `assignments.h5` of a work folder, clustered unless it can be kept."""
    from clusterkit.stages import cluster as stage

    path, config = context.path(stage.OUTPUT), with_options(config)
    if not kept(path, config, context, **stage.files_read(config, context)):
        announce(command_line("cluster", config), context)
        # Only a training has a state to go on from.
        stage.run(config, replace(context, resume=context.resume and METHODS[config.method].trains))
    return path


def estimate_k(config: ClusterConfig, counted: Context, context: Context) -> dict[str, dict[str, int]]:
    """Return K by subset and estimator, counted in the clustering of the folder of `counted`, made where it is missing.

    Writes `k.json` of the folder of `context`, which `--k auto` reads there.
    """
    from clusterkit.datasets.current import up_to_date
    from clusterkit.stages import cluster as clustering
    from clusterkit.stages import estimate_k as stage

    assignments, config = counted.path(clustering.OUTPUT), with_options(config)
    if not up_to_date(assignments, config, counted, **clustering.files_read(config, counted)):
        cluster(config, counted)
    announce(f"estimate-k --assignments {assignments} --pairs {config.pairs}", context)
    return stage.run(EstimateKConfig(assignments=str(assignments), pairs=str(config.pairs)), context).estimates


def scores(context: Context, assignments: str = EvaluateConfig.assignments, **fields: Any) -> list[Row]:
    """Return the scores of assignments in a work folder, by subset and in the mean, as rows with these other fields."""
    from clusterkit.stages import evaluate

    return evaluate.run(EvaluateConfig(assignments=assignments), context).rows(seed=context.seed, **fields)


def g_scores(g: Path, dataset: str, ways: tuple[int, ...], context: Context, **fields: Any) -> list[Row]:
    """Return the scores of a G's pairs of a set, by subset and in the mean, and its N-way one-shot tests."""
    from clusterkit.stages import evaluate

    result = evaluate.run(EvaluateConfig(g=str(g), dataset=dataset, ways=ways), context)
    return result.rows(**{"method": "g"} | fields)


def one_shot(g: Path, dataset: str, ways: tuple[int, ...], context: Context, **fields: Any) -> list[Row]:
    """Return the N-way one-shot tests of a G alone."""
    from clusterkit.stages import evaluate

    scores = evaluate.one_shot(EvaluateConfig(g=str(g), dataset=dataset, ways=ways), context)
    return rows_of(scores, subset="mean", **{"method": "g"} | fields)


def parts_at_hand(
    flag: str, names: tuple[str, ...] | None, parts: dict[str, list[str]], context: Context
) -> tuple[str, ...]:
    """Return the parts of a study that were named, or all whose data sets are at hand without a download.

    `parts` has the data sets of each. Raises UsageError where nothing is named or at hand.
    """
    from clusterkit.datasets.catalogue import parse

    if names is not None:
        return names
    here = tuple(
        name
        for name, sets in parts.items()
        if all(path.exists() for data in sets for path in parse(data).entry.files(context.data))
    )
    if not here:
        raise UsageError(
            f"--data {context.data}: none of {', '.join(parts)} is there; name one with --{flag} to get it"
        )
    for name in parts:
        if name not in here:
            console.log.info("%s is not in %s and is left out; --%s %s asks for it", name, context.data, flag, name)
    return here


def weights_at_hand(backbone: Backbone, context: Context) -> bool:
    """Return whether a backbone has ImageNet's weights, in the cache or by a download."""
    from clusterkit.networks.backbones import WITH_WEIGHTS, weights_file

    if backbone not in WITH_WEIGHTS:
        return False
    try:
        weights_file(backbone, offline=context.offline)
    except InputError as error:
        console.log.warning("%s starts from random weights: %s", backbone, str(error).partition(";")[0])
        return False
    return True


def of_one_run(path: Path, other: Path) -> bool:
    """Return whether two artifacts come from equal settings, inputs and seed, by equal versions."""
    from clusterkit.artifacts.summary import summarise

    headers = [summarise(one)["header"] for one in (path, other)]
    first, second = ({name: header[name] for name in ("config", "inputs", "seed", "versions")} for header in headers)
    return first == second


def extra_of(path: Path) -> dict[str, Any]:
    """Return what the header of an artifact has beside what every header does."""
    from clusterkit.artifacts.summary import summarise

    extra: dict[str, Any] = summarise(path)["header"]["extra"]
    return extra


def drawn(data: "Dataset", images: int | None, seed: int) -> "Subset":
    """Return so many random labelled items, or all of them. Raises InputError for a set without labels."""
    import torch

    from clusterkit.device import derive_seed

    subset = data.labelled().union()
    if subset.labels is None:
        raise InputError(f"{data.name} has no labels to make pairs of")
    order = torch.randperm(len(subset), generator=torch.Generator().manual_seed(derive_seed(seed, "images")))
    # In this order they are clustered, which is not that of the files.
    return subset.take(order[:images])


def share_of(epochs: int, budget: float) -> int:
    return max(1, round(budget * epochs))


def inside(context: Context, name: str, seed: int | None = None) -> Context:
    """Return the context of a run in a folder of its own below the work folder, for which no flag was typed."""
    seed = context.seed if seed is None else seed
    return replace(context, workdir=context.workdir / name, seed=seed, given=frozenset())


def announce(command: str, context: Context) -> None:
    console.log.info("$ clusterkit %s --workdir %s --seed %d", command, context.workdir, context.seed)
