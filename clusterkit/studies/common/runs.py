"""Runs of the stages for a study: each writes its usual files, and `--resume` keeps those of finished stages."""

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
    EmbedConfig,
    EstimateKConfig,
    EvaluateConfig,
    Kind,
    PredictPairsConfig,
    PretrainConfig,
    SelfTrainConfig,
    TrainCriticConfig,
    TrainGConfig,
)
from clusterkit.errors import InputError, UsageError
from clusterkit.features.choice import has_metric, with_training
from clusterkit.methods import METHODS, with_options
from clusterkit.metrics.rows import Row, rows_of

if TYPE_CHECKING:
    from clusterkit.datasets.base import Dataset, Subset

OMNIGLOT_EPOCHS = 100
OMNIGLOT_G = with_training(TrainGConfig(dataset="omniglot_bg", epochs=OMNIGLOT_EPOCHS), Kind.CHARACTERS)
"""The G of the studies that start from Omniglot: the best recipe for characters, trained for longer."""


STAGES: dict[type[Any], tuple[str, tuple[str, ...]]] = {
    PretrainConfig: ("pretrain", ("init",)),
    EmbedConfig: ("embed", ()),
    TrainGConfig: ("train-g", ("init",)),
    SelfTrainConfig: ("self-train", ("g",)),
    PredictPairsConfig: ("predict-pairs", ("g",)),
    AssignConfig: ("assign", ("model",)),
    AdaptConfig: ("adapt", ("pairs",)),
    TrainCriticConfig: ("train-critic", ()),
}
"""The stage of each configuration, and the fields that name files which the stage reads."""


def run_stage(config: object, context: Context) -> Path:
    """Run a stage in a work folder, unless `--resume` keeps its file; return the path of the file."""
    command, names = STAGES[type(config)]
    stage = import_module(f"clusterkit.stages.{command.replace('-', '_')}")
    files = {name: getattr(config, name) for name in names}
    inputs = {name: context.find(str(file)) for name, file in files.items() if file is not None}
    path: Path = context.path(stage.OUTPUT)
    if not keeps(path, config, context, **inputs):
        announce(command_line(command, config), context)
        # train-g refuses --resume for a metric.
        resume = context.resume and not (isinstance(config, TrainGConfig) and has_metric(config))
        stage.run(config, replace(context, resume=resume))
    return path


def keeps(path: Path, config: object, context: Context, **inputs: Path) -> bool:
    """Return whether `--resume` keeps the file at `path` because an earlier run made the same; log it if so."""
    from clusterkit.datasets.current import up_to_date

    is_kept = context.resume and up_to_date(path, config, context, **inputs)
    if is_kept:
        console.log.info("%s: kept, because an earlier run of this command made it", path)
    return is_kept


def command_line(command: str, config: object) -> str:
    """Return the command of a configuration, with the flags that differ from their defaults."""
    return shlex.join([command, *words_of(config)])


def words_of(config: object, arguments: tuple[str, ...] = ("dataset", "source", "target")) -> Iterator[str]:
    """Yield the arguments and flags of a configuration; `arguments` are the fields without a flag."""
    for field in fields(config):  # type: ignore[arg-type]
        value, flag = getattr(config, field.name), field.name.replace("_", "-")
        if is_dataclass(value) and field.name == "options":
            yield from words_of(value, ())
        elif field.name in arguments:
            yield str(value)
        elif field.name == "others":
            yield from value
        elif field.default is MISSING or value != field.default:
            for one in value if isinstance(value, tuple) else (value,):
                yield from (
                    [f"--{flag}" if one else f"--no-{flag}"] if isinstance(one, bool) else [f"--{flag}", str(one)]
                )


def g_for(g: Path | None, config: TrainGConfig, context: Context) -> Path:
    """Copy `g`, or train G if it is None; return `g.safetensors` of the work folder."""
    return run_stage(config, context) if g is None else copy_g(g, context)


def copy_g(g: Path, context: Context) -> Path:
    """Copy a G into the work folder; return the path of the copy. Raises InputError if the file is no G."""
    from clusterkit.artifacts.checkpoint import write_checkpoint
    from clusterkit.networks.read import read_g

    header, network = read_g(g)
    path = context.path(G_FILE)
    if not (path.exists() and path.samefile(g)):
        # A header names the user's own data relative to its file, so a copy of the bytes would not find them.
        write_checkpoint(path, header, network.state_dict())
    return path


def cluster(config: ClusterConfig, context: Context) -> Path:
    """Cluster unless `--resume` keeps the assignments; return `assignments.h5` of the work folder."""
    from clusterkit.stages import cluster as stage

    path, config = context.path(stage.OUTPUT), with_options(config)
    if not keeps(path, config, context, **stage.files_read(config, context)):
        announce(command_line("cluster", config), context)
        # The stage refuses --resume for methods that train no network.
        stage.run(config, replace(context, resume=context.resume and METHODS[config.method].trains))
    return path


def estimate_k(config: ClusterConfig, over_clustered: Context, context: Context) -> dict[str, dict[str, int]]:
    """Estimate K from the clustering in the folder of `over_clustered`, which is made if it is missing.

    Writes `k.json` to the folder of `context`, where `--k auto` reads it. Returns K by subset and estimator.
    """
    from clusterkit.datasets.current import up_to_date
    from clusterkit.stages import cluster as clustering
    from clusterkit.stages import estimate_k as stage

    assignments, config = over_clustered.path(clustering.OUTPUT), with_options(config)
    if not up_to_date(assignments, config, over_clustered, **clustering.files_read(config, over_clustered)):
        cluster(config, over_clustered)
    announce(f"estimate-k --assignments {assignments} --pairs {config.pairs}", context)
    return stage.run(EstimateKConfig(assignments=str(assignments), pairs=str(config.pairs)), context).estimates


def scores(context: Context, assignments: str = EvaluateConfig.assignments, **fields: Any) -> list[Row]:
    """Return the scores of assignments by subset and their means, as rows with these fields."""
    from clusterkit.stages import evaluate

    return evaluate.run(EvaluateConfig(assignments=assignments), context).rows(seed=context.seed, **fields)


def g_scores(g: Path, dataset: str, ways: tuple[int, ...], context: Context, **fields: Any) -> list[Row]:
    """Return the scores of the pairs of a G by subset, their means, and its N-way tests, as rows with these fields."""
    from clusterkit.stages import evaluate

    result = evaluate.run(EvaluateConfig(g=str(g), dataset=dataset, ways=ways), context)
    return result.rows(**{"method": "g"} | fields)


def one_shot(g: Path, dataset: str, ways: tuple[int, ...], context: Context, **fields: Any) -> list[Row]:
    """Return the N-way tests of a G, as rows with these fields."""
    from clusterkit.stages import evaluate

    scores = evaluate.one_shot(EvaluateConfig(g=str(g), dataset=dataset, ways=ways), context)
    return rows_of(scores, subset="mean", **{"method": "g"} | fields)


def parts_at_hand(
    flag: str, names: tuple[str, ...] | None, parts: dict[str, list[str]], context: Context
) -> tuple[str, ...]:
    """Return the parts of a study that the flag names, or without names all whose data sets need no download.

    `parts` holds the data sets of each part. Raises UsageError if nothing is named and every part needs a download.
    """
    from clusterkit.datasets.catalogue import fetch_missing, parse

    def files(data: str) -> list[Path]:
        set_name = parse(data)
        return [Path(set_name.argument)] if set_name.argument else list(set_name.entry.files(context.data))

    if names is not None:
        for data in dict.fromkeys(data for name in names for data in parts[name]):
            set_name = parse(data)
            missing = [path for path in files(data) if not path.exists()]
            if missing and set_name.argument:
                raise InputError(
                    f"{missing[0]}: no such folder; put the images there, one subfolder per class, or name another "
                    "folder with --data"
                )
            if missing and (context.offline or set_name.entry.fetch is None):
                fetch_missing(set_name, context.data, missing, context.offline)
        return names
    present = tuple(name for name, sets in parts.items() if all(path.exists() for data in sets for path in files(data)))
    if not present:
        raise UsageError(f"--data {context.data}: holds none of {', '.join(parts)}; name one with --{flag} to get it")
    for name in parts:
        if name not in present:
            console.log.info("%s is not in %s and is left out; add it with --%s %s", name, context.data, flag, name)
    return present


def weights_at_hand(backbone: Backbone, context: Context) -> bool:
    """Return whether ImageNet's weights of a backbone are in the cache or can be downloaded; warn if not."""
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
    """Return whether two files were made with the same settings, inputs, seed and versions."""
    from clusterkit.artifacts.summary import summarise

    headers = [summarise(file)["header"] for file in (path, other)]
    first, second = ({name: header[name] for name in ("config", "inputs", "seed", "versions")} for header in headers)
    return first == second


def extra_of(path: Path) -> dict[str, Any]:
    """Return the fields of a file's header that belong to its format."""
    from clusterkit.artifacts.summary import summarise

    extra: dict[str, Any] = summarise(path)["header"]["extra"]
    return extra


def random_items(data: "Dataset", images: int | None, seed: int) -> "Subset":
    """Return `images` random labelled items, or all if it is None, in random order.

    Raises InputError for a set without labels.
    """
    import torch

    from clusterkit.device import derive_seed

    subset = data.labelled().union()
    if subset.labels is None:
        raise InputError(f"{data.name}: has no labels, which the pairs are made from; name a labelled set")
    order = torch.randperm(len(subset), generator=torch.Generator().manual_seed(derive_seed(seed, "images")))
    return subset.take(order[:images])


def share_of(epochs: int, budget: float) -> int:
    return max(1, round(budget * epochs))


def subfolder(context: Context, name: str, seed: int | None = None) -> Context:
    """Return the context of a run in a subfolder of the work folder, with no flag recorded as typed."""
    seed = context.seed if seed is None else seed
    return replace(context, workdir=context.workdir / name, seed=seed, given=frozenset())


def announce(command: str, context: Context) -> None:
    command = shlex.join(["clusterkit", *shlex.split(command), *context.reading.flags()])
    console.log.info("$ %s --workdir %s --seed %d", command, context.workdir, context.seed)
