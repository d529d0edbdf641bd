"""DEC: deep embedded clustering (Xie, Girshick and Farhadi 2016)."""

import math

from clusterkit.config import Backbone
from clusterkit.methods.common.autoencoder import learn_to_reconstruct
from clusterkit.methods.common.centres import Sharpening, interval_of, start_centres
from clusterkit.methods.common.joint import Joint
from clusterkit.methods.common.joint_options import DecOptions
from clusterkit.methods.common.problem import Clustering, Items, Question, Run
from clusterkit.networks.backbones import DEC_WIDTHS
from clusterkit.networks.heads import HeadKind
from clusterkit.training import WARM_UP

BATCHES = 160
"""Batches after which the targets are renewed, as on MNIST, and the least number before an early end."""


def dec(items: Items, question: Question, run: Run) -> Clustering:
    """Train features and K centres towards targets that sharpen the assignment to them, until hardly a label changes.

    The centres start as those of k-means, on the values of an autoencoder or on the first K principal components of
    other features. The highest learning rate is that of the paper, and its schedule that of every joint training here.
    """
    options: DecOptions = question.options
    alone = items.start is None and options.backbone is Backbone.DEC
    hidden = DEC_WIDTHS[-1] if alone else question.k
    joint = Joint(items, question.k, options, run, HeadKind.CENTRES, hidden=hidden)
    history = learn_to_reconstruct(joint, options.autoencoder_epochs) if alone else {}
    start_centres(joint)
    steps = joint.sampler.steps
    interval = interval_of(joint, options, max(1, round(BATCHES / steps)))
    # While the learning rate rises, items stay where they are because hardly anything is learned.
    earliest = max(math.ceil(WARM_UP * options.passes), math.ceil(BATCHES / steps), 2 * interval)
    terms = Sharpening(joint.assignment(), interval, options.tolerance, earliest)
    return joint.result({**history, "round 1": joint.train(terms, options.passes)})
