"""clusterkit demo"""

import shlex
import time
from dataclasses import replace

import typer

from clusterkit import console
from clusterkit.cli.common import Common, with_common
from clusterkit.config import (
    OWN_G,
    ClusterConfig,
    EstimateKConfig,
    EvaluateConfig,
    PredictPairsConfig,
    SelfTrainConfig,
)
from clusterkit.methods import CcnOptions
from clusterkit.settings import Init

EXAMPLE = "Example: clusterkit demo"

SELF_TRAIN = SelfTrainConfig(dataset="glyphs_eval", g=OWN_G)
CLUSTER = ClusterConfig(options=CcnOptions(init=Init.G))


def register(app: typer.Typer) -> None:
    app.command("demo", epilog=EXAMPLE)(with_common(demo, folder="demo"))


def demo(common: Common) -> None:
    """Run the whole pipeline on characters that the program draws itself, in the folder demo of --workdir.

    It needs no data, takes about a minute on two cores, and ends with a table and a picture of the clusters found.
    """
    from clusterkit.report.montage import write_montage
    from clusterkit.stages import cluster, estimate_k, evaluate, predict_pairs, self_train

    start = time.monotonic()
    context = replace(common.context, workdir=common.context.workdir / "demo", given=frozenset())
    folder = shlex.quote(str(context.workdir))

    def narrate(why: str, command: str) -> None:
        console.log.info("")
        console.log.info(why)
        console.log.info("$ clusterkit %s --workdir %s --seed %d", command, folder, context.seed)

    narrate(
        "1. Train G, which learned from handwritten characters, further on three alphabets, without their labels.",
        f"self-train {SELF_TRAIN.dataset} --g {SELF_TRAIN.g}",
    )
    self_train.run(SELF_TRAIN, context)
    narrate("2. Predict every pair of their drawings with G.", f"predict-pairs glyphs_eval --g {self_train.OUTPUT}")
    predict_pairs.run(PredictPairsConfig(dataset="glyphs_eval", g=self_train.OUTPUT), context)
    narrate(
        "3. Sort each alphabet into at most 100 clusters that agree with the predicted pairs.",
        f"cluster --k {CLUSTER.k} --loss {CcnOptions.loss} --init {Init.G}",
    )
    cluster.run(CLUSTER, context)
    narrate("4. Estimate the number of characters in each alphabet.", "estimate-k")
    counted = estimate_k.run(EstimateKConfig(), context)
    narrate("5. Compare with the true labels, which no earlier step has read.", "evaluate")
    scored = evaluate.run(EvaluateConfig(), context)
    picture = write_montage(context, context.path("assignments.h5"), context.path("clusters.png"))

    rows = [f"{'alphabet':10} {'ACC':>6} {'NMI':>6} {'ARI':>6} {'K':>4} {'true':>5}"]
    for title, part in [*scored.scores.items(), ("mean", scored.mean)]:
        k = f"{counted.recommended[title]:4d}" if title in counted.recommended else "    "
        rows.append(f"{title:10} {part['acc']:6.3f} {part['nmi']:6.3f} {part['ari']:6.3f} {k} {part['classes']:5.0f}")
    console.log.info("")
    console.log.info("picture of the clusters: %s (%.0f s in all)", picture, time.monotonic() - start)
    fields = {
        "subsets": scored.scores,
        "mean": scored.mean,
        "k": counted.recommended,
        "picture": str(picture),
    }
    console.result(rows, fields, common.as_json)
