"""JAN: learn a hidden layer and classes that are jointly distributed alike in both domains (Long et al. 2017)."""

from torch import Tensor

from clusterkit.adaptation.joint import BaseTerm, Joint
from clusterkit.losses.jmmd import domain_weights, jmmd


class Term(BaseTerm):
    """Joint discrepancy of the hidden layer and the class probabilities, with a weight that rises during training."""

    def forward(self, joint: Joint) -> dict[str, Tensor]:
        counts = (joint.count, len(joint.hidden) - joint.count)
        weights = domain_weights(len(joint.index_s), len(joint.index_t), counts, joint.hidden.device)
        return {"jmmd": self.ramp() * jmmd(joint.hidden, joint.logits.softmax(1), weights)}
