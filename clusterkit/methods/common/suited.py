"""The start of a clustering network, decided by the G that predicted its pairs."""

from dataclasses import replace

from clusterkit.config import ClusterConfig, Context, Precision, Recipe
from clusterkit.errors import UsageError
from clusterkit.methods import CcnOptions
from clusterkit.settings import File, Init


def suited(config: ClusterConfig, context: Context, *, by_metric: bool, by_recipe: bool) -> ClusterConfig:
    """Return the settings of a clustering of pairs by a metric, by a G of the best recipe, or by another G.

    The start of the network is G for the first two, unless a flag is given that only a whole network has.
    Raises UsageError for flags that have no effect on these pairs, or with this start.
    """
    config = with_settled_names(config, context)
    options = config.options
    if by_metric and config.recipe is Recipe.PAPER:
        raise UsageError(
            "--recipe paper: changes nothing on pairs of a metric; leave it out, or train another G with "
            "train-g --recipe paper"
        )
    if not isinstance(options, CcnOptions):
        return config
    if options.init is None:
        whole = context.is_given(options, "backbone") or options.precision is Precision.BF16
        by_g = by_metric or (config.recipe is Recipe.BEST and by_recipe and not whole)
        options = replace(options, init=Init.G if by_g else Init.RANDOM)
        # The options as they were say that --init was not typed.
        options.check(config, lambda name: context.is_given(config.options, name))
    if by_metric and options.init is Init.G and options.rounds == 1 and context.is_given(options, "loss"):
        raise UsageError(
            "--loss: a network on fixed features learns the clusters of a consensus, without a pair loss; leave it "
            "out, or give --init random"
        )
    return replace(config, options=options)


def with_settled_names(config: ClusterConfig, context: Context) -> ClusterConfig:
    """Return the settings with the name of the program's G that always means it, where they name it otherwise."""
    if isinstance(config.features, File):
        config = replace(config, features=File(context.settled(config.features.name)))
    if isinstance(config.options, CcnOptions) and isinstance(config.options.init, File):
        init = File(context.settled(config.options.init.name))
        config = replace(config, options=replace(config.options, init=init))
    return config
