"""The flags of methods that train a network. Importing this module imports no heavy package."""

from typing import Annotated

from clusterkit.config import Backbone, Optimizer, Precision, Variation
from clusterkit.settings import File, Flag, Init, parse_init

InitFlag = Annotated[
    Init | File | None,
    Flag(
        help="Train a whole network from random weights or from a file of pretrain or train-g; with g, ccn trains only "
        "a head on the features of G, which is faster.",
        read=parse_init,
        metavar="[random|g|FILE]",
        default="g for ccn on features of a fixed backbone or with a G of characters by the best recipe, else random; "
        "for other methods pretrained.safetensors, unless --backbone is typed",
    ),
]
BackboneFlag = Annotated[
    Backbone, Flag(help="Network that computes the features.", default="conv4; dec for the autoencoder of dec")
]
EpochsFlag = Annotated[
    int | None,
    Flag(
        help="Passes over each subset.",
        min=1,
        default="enough for each pair to meet 7.5 times, 250 to 5,000 batches; 100 for "
        "supreme, dtc and dec, 200 for autonovel",
    ),
]
BatchSizeFlag = Annotated[
    int | None,
    Flag(
        help="Images per batch.",
        min=2,
        default="100, or 200 for ccn with --init g; 128 for supreme, autonovel and dtc, 256 for dec",
    ),
]
LearningRateFlag = Annotated[
    float, Flag(help="Highest learning rate.", min=0, default="0.001; 0.1 for autonovel, 0.05 for dtc, 0.01 for dec")
]
OptimizerFlag = Annotated[
    Optimizer, Flag(help="Adam, or gradient descent with momentum.", default="adam; sgd for autonovel, dtc and dec")
]
VariationFlag = Annotated[
    Variation,
    Flag(
        help="Augmentation: none; mild changes images a little; strong also bends characters, or zooms into "
        "photos and changes their light; erased blanks parts of characters."
    ),
]
PrecisionFlag = Annotated[
    Precision, Flag(help="Number format of the training: fp32, or the faster tf32 (CUDA only) or bf16.")
]
FineTuneFlag = Annotated[
    int | None,
    Flag(
        help="Train only the last groups of layers of the network that --init names, and what follows it.",
        min=1,
        metavar="GROUPS",
        default="all layers",
    ),
]
