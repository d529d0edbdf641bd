"""JAN: hidden layer and classes are distributed alike in both domains (Long et al. 2017)."""

from torch import Tensor

from clusterkit.adaptation.joint import BaseTerm, Joint
from clusterkit.losses.jmmd import domain_weights, jmmd


class Term(BaseTerm):
    """The joint discrepancy of hidden layer and probabilities, with a weight that rises."""

    def forward(self, joint: Joint) -> dict[str, Tensor]:
        counts = (joint.count, len(joint.hidden) - joint.count)
        weights = domain_weights(len(joint.index_s), len(joint.index_t), counts, joint.hidden.device)
        return {"jmmd": self.ramp() * jmmd(joint.hidden, joint.logits.softmax(1), weights)}
