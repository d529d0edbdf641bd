"""DEC: deep embedded clustering (Xie, Girshick and Farhadi 2016)."""

from clusterkit.config import Backbone
from clusterkit.methods.common.autoencoder import learn_to_reconstruct
from clusterkit.methods.common.centres import Sharpening, assignment, start_centres
from clusterkit.methods.common.joint import Joint
from clusterkit.methods.common.joint_options import DecOptions
from clusterkit.methods.common.problem import Clustering, Items, Question, Run
from clusterkit.networks.backbones import DEC_WIDTHS
from clusterkit.networks.heads import HeadKind

BATCHES = 160
"""Batches after which the targets are renewed, as on MNIST."""
RENEWALS = 10
"""Least number of times that a training renews them."""


def dec(items: Items, question: Question, run: Run) -> Clustering:
    """Train features and K centres towards targets that sharpen the assignment to them, until hardly a label changes.

    The centres start as those of k-means, on the values of an autoencoder or on the first K principal components of
    other features.
    """
    options: DecOptions = question.options
    alone = items.start is None and options.backbone is Backbone.DEC
    hidden = DEC_WIDTHS[-1] if alone else question.k
    joint = Joint(items, question.k, options, run, HeadKind.CENTRES, hidden=hidden)
    history = learn_to_reconstruct(joint, options.autoencoder_epochs) if alone else {}
    start_centres(joint)
    interval = options.interval or default_interval(joint.steps, options.passes)
    terms = Sharpening(assignment(joint), interval, options.tolerance)
    return joint.result({**history, "round 1": joint.train(terms, options.passes)})


def default_interval(steps: int, epochs: int) -> int:
    """Return the epochs of `steps` batches between two renewals of the targets in a training of `epochs`."""
    return max(1, min(round(BATCHES / steps), epochs // RENEWALS))
