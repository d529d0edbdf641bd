"""clusterkit reproduce supervised"""

from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer

from clusterkit.cli.common import Common, Precise, Resume, with_common
from clusterkit.cli.reproduce import runs
from clusterkit.config import (
    AssignConfig,
    Backbone,
    ClusterConfig,
    Context,
    Optimizer,
    Precision,
    PretrainConfig,
)
from clusterkit.losses import Loss
from clusterkit.methods import CcnOptions
from clusterkit.settings import TruePairs

EXAMPLE = "Example: clusterkit reproduce supervised --set mnist"


@dataclass(frozen=True)
class Setting:
    """What a set was trained with (CCL, appendix A)."""

    k: int
    backbones: tuple[Backbone, ...]
    epochs: int
    drop_every: int
    batch_size: int
    learning_rate: float
    optimizer: Optimizer


CIFAR10 = (
    Backbone.LENET, Backbone.VGG8, Backbone.VGG11, Backbone.VGG16, Backbone.PREACTRESNET18, Backbone.PREACTRESNET101,
)  # fmt: skip
SETTINGS = {
    "mnist": Setting(10, (Backbone.LENET,), 30, 10, 100, 0.1, Optimizer.SGD),
    "cifar10": Setting(10, CIFAR10, 70, 30, 100, 0.1, Optimizer.SGD),
    "cifar100": Setting(100, (Backbone.VGG8,), 160, 70, 1000, 0.001, Optimizer.ADAM),
}
LOSSES = ["ce", "kcl", "ccl"]


def register(group: typer.Typer) -> None:
    group.command("supervised", epilog=EXAMPLE)(with_common(supervised))


def supervised(
    common: Common,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="[mnist|cifar10|cifar100]", help="May be repeated.", show_default="all that are here"
        ),
    ] = None,
    backbone: Annotated[
        list[Backbone] | None, typer.Option(help="May be repeated.", show_default="the papers'")
    ] = None,
    loss: Annotated[
        list[str], typer.Option(metavar="[ce|kcl|ccl]", help="Cross entropy or a pair loss; may be repeated.")
    ] = LOSSES,
    budget: Annotated[
        float, typer.Option(min=0.001, max=1, help="The share of the papers' epochs, and of those between drops.")
    ] = 1.0,
    seeds: Annotated[int, typer.Option(min=1, help="How often each network is trained.")] = 1,
    precision: Precise = Precision.FP32,
    resume: Resume = False,
) -> None:
    """Clustering by true pairs beside classification, by depth of the network: CCL, tables 1 and 2.

    Trains each network by cross entropy on labels, and with as many outputs as there are classes by each pair loss on
    all true pairs; assigns the test set by each, and writes supervised.md and supervised.json. A supervised study:
    every loss sees the labels of the training set. All artifacts are in the folder supervised of --workdir, one folder
    a run.
    """
    from clusterkit.report import supervised as report

    runs.unknown("loss", loss, LOSSES)
    names = runs.wanted("set", sets, {name: [parts(name)[0]] for name in SETTINGS}, common.context)
    losses = list(dict.fromkeys(loss))
    plan = [
        (name, network)
        for name in names
        for network in (SETTINGS[name].backbones if backbone is None else dict.fromkeys(backbone))
    ]
    context = runs.inside(common.context, "supervised")
    found = [
        run(name, network, how, scaled(SETTINGS[name], budget), precision, context, seed)
        for name, network in plan
        for how in losses
        for seed in range(context.seed, context.seed + seeds)
    ]
    results = {"budget": budget, "precision": precision, "runs": found}
    runs.write_tables("supervised", report.markdown(results), results, context, common.as_json)


def parts(name: str) -> tuple[str, str]:
    """Return the data sets to train and to test on."""
    return f"{name}_train", f"{name}_test"


def scaled(setting: Setting, budget: float) -> Setting:
    """Return a setting with a share of its epochs, at least one, and of those between drops of the learning rate."""
    epochs, drop_every = (runs.share_of(count, budget) for count in (setting.epochs, setting.drop_every))
    return replace(setting, epochs=epochs, drop_every=drop_every)


def run(
    name: str, network: Backbone, loss: str, setting: Setting, precision: Precision, context: Context, seed: int
) -> dict[str, Any]:
    """Train one network in a folder of its own; return what it was trained with and its scores on the test set."""
    inner = runs.inside(context, f"{name}-{network}-{loss}-seed{seed}", seed)
    shared: dict[str, Any] = {
        "backbone": network,
        "epochs": setting.epochs,
        "batch_size": setting.batch_size,
        "learning_rate": setting.learning_rate,
        "optimizer": setting.optimizer,
        "drop_every": setting.drop_every,
        "precision": precision,
    }
    train, test = parts(name)
    if loss == "ce":
        model = runs.pretrain(PretrainConfig(dataset=train, **shared), inner).name
    else:
        options = CcnOptions(loss=Loss(loss), **shared)
        runs.cluster(ClusterConfig(dataset=train, k=setting.k, pairs=TruePairs(), options=options), inner)
        model = AssignConfig.model
    assigned = runs.assign(AssignConfig(dataset=test, model=model), inner)
    scores = runs.scores(inner, assigned.name)["mean"]
    return {"set": name, "loss": loss, "seed": seed, "k": setting.k, **shared, **scores}
