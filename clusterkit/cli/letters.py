"""discover on characters: by the G of the program, trained further on the pictures, or by its fixed features."""

from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from clusterkit.cli.counting import OVER_CLUSTERED, outputs_of, with_many_outputs
from clusterkit.cli.steps import Keeps, Steps, is_current
from clusterkit.config import (
    CHARACTERS_FILE,
    G_FILE,
    OWN_G,
    BatchNorm,
    ClusterConfig,
    Context,
    EstimateKConfig,
    Kind,
    PredictPairsConfig,
    SelfTrainConfig,
    TrainGConfig,
)
from clusterkit.features.choice import with_training
from clusterkit.methods import CcnOptions, with_options
from clusterkit.reading import USUAL
from clusterkit.settings import CountedBy, Init, K

SAMPLE = 2000
"""Most pictures of a subset whose pairs tell how large its classes are."""
LARGE = 60
"""Pictures of a class beyond which a set is no alphabet. G was made, and its use tuned, where a character has twenty;
on the alphabets of Omniglot the estimate is 20 to 50."""
FEWEST = 1
"""Pictures of a class below which G finds hardly anything alike."""


def class_size(name: str, context: Context) -> float:
    """Return how many pictures G estimates a class of the set to have; of several subsets it is the median.

    It is the mean number of pictures that G finds similar to one, divided by the share of the similar ones of similar
    pictures that it finds, because it misses as many of all.
    """
    import torch

    from clusterkit.device import choose_device
    from clusterkit.features.load import load_like
    from clusterkit.metrics.pairs import health
    from clusterkit.networks.read import read_g
    from clusterkit.pairs.g import g_pairs

    header, g = read_g(CHARACTERS_FILE)
    sizes = []
    for subset in load_like(name, g.architecture.shape, context, header.dataset).subsets:
        generator = torch.Generator().manual_seed(0)
        chosen = torch.randperm(len(subset), generator=generator)[:SAMPLE]
        pairs = g_pairs(g, subset.take(chosen), BatchNorm.TARGET, choose_device(context.device))
        signs = health(pairs, generator)
        found = signs["similar_rate"] * (len(subset) - 1)
        sizes.append(found / max(1 - signs["transitivity_violations"], 0.1))
    return median(sizes)


def is_alphabet(size: float) -> bool:
    """Return whether classes of this size are those that self-train is made for."""
    return FEWEST <= size <= LARGE


@dataclass(frozen=True, kw_only=True)
class Letters:
    """The sets of letters to sort and, if there is one, to learn from, by their full names; and K.

    `sizes` are the numbers of pictures by subset.
    """

    name: str
    like: str | None
    k: K
    examples: Path | None
    sizes: dict[str, int]

    @property
    def learning(self) -> TrainGConfig:
        """Return the settings of the training on the labelled set."""
        assert self.like is not None
        return with_training(TrainGConfig(dataset=self.like), Kind.CHARACTERS)

    @property
    def further(self) -> SelfTrainConfig:
        """Return the settings of the training on the pictures to sort."""
        # The name of the program's G is one that no file of the user has.
        return SelfTrainConfig(dataset=self.name, g=OWN_G if self.like is None else G_FILE)

    @property
    def steps(self) -> int:
        """Return the number of stages."""
        return 3 + (self.like is not None) + 2 * (self.k is CountedBy.ESTIMATE)


def sort_letters(letters: Letters, flat: Context, learning: Context, steps: Steps) -> None:
    """Run every stage from G to the clusters that is out of date; the contexts say how the two sets are read."""
    from clusterkit.stages import predict_pairs, self_train, train_g

    def keeps(settings: object, **inputs: Path) -> Keeps:
        return lambda path, context: is_current(path, settings, context, None, inputs)

    if letters.like is not None:
        learn = letters.learning
        title = f"Learn from {letters.like} which differences count."
        steps.run(title, "train-g", [letters.like], train_g.run, learn, learning, train_g.OUTPUT, keeps(learn))
    more = letters.further
    title = "Train G further on the pictures, without labels."
    words, kept = [letters.name, "--g", more.g], keeps(more, g=steps.context.find(more.g))
    steps.run(title, "self-train", words, self_train.run, more, flat, self_train.OUTPUT, kept)
    predict = PredictPairsConfig(dataset=letters.name, g=self_train.OUTPUT)
    words = [letters.name, "--g", self_train.OUTPUT]
    kept = keeps(predict, g=steps.context.path(self_train.OUTPUT))
    title = "Predict which pairs of pictures belong together."
    steps.run(title, "predict-pairs", words, predict_pairs.run, predict, flat, predict_pairs.OUTPUT, kept)
    cluster_letters(letters, replace(flat, reading=USUAL), steps)


def cluster_letters(letters: Letters, context: Context, steps: Steps) -> None:
    """Cluster by the pairs of the work folder, after an estimate of K from more outputs if K is to be estimated."""
    from clusterkit.stages import cluster, estimate_k, predict_pairs

    usual, pairs = ClusterConfig(options=CcnOptions(init=Init.G)), context.path(predict_pairs.OUTPUT)
    if letters.k is CountedBy.ESTIMATE:
        more = with_many_outputs(usual, letters.sizes, pairs)
        inner = replace(context, workdir=context.path(OVER_CLUSTERED))
        words = ["--k", str(more.k), "--pairs", str(pairs), "--init", "g"]
        output = f"{OVER_CLUSTERED}/{cluster.OUTPUT}"
        title = f"Sort the pictures into more groups than there are, with {outputs_of(more, letters.sizes)}."
        steps.run(title, "cluster", words, cluster.run, more, inner, output, keeps_clusters(more, inner))
        steps.kept.discard("cluster")
        estimate = EstimateKConfig(assignments=str(context.path(output)))
        words = ["--assignments", str(context.path(output))]

        def keeps(path: Path, context: Context) -> bool:
            return is_current(
                path, estimate, context, None, {"pairs": pairs, "assignments": inner.path(cluster.OUTPUT)}
            )

        title = "Estimate the number of groups."
        steps.run(title, "estimate-k", words, estimate_k.run, estimate, context, estimate_k.OUTPUT, keeps)
    settings = replace(usual, k=letters.k, examples=letters.examples)
    words = ["--k", str(letters.k), "--init", "g"]
    words += [] if letters.examples is None else ["--examples", str(letters.examples)]
    title = "Sort the pictures into groups."
    kept = keeps_clusters(settings, context)
    steps.run(title, "cluster", words, cluster.run, settings, context, cluster.OUTPUT, kept)


def keeps_clusters(config: ClusterConfig, context: Context) -> Keeps:
    """Return whether the clusters of a file are those of these settings and of the present files."""
    from clusterkit.stages import cluster

    def keeps(path: Path, here: Context) -> bool:
        files = {name: context.find(str(file)) for name, file in cluster.files_read(config, context).items()}
        return path.exists() and is_current(path, with_options(config), here, None, files)

    return keeps
