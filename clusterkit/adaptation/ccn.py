"""CCN+: the target's clusters agree with its pairs (L2C, equation 9)."""

from torch import Tensor

from clusterkit.adaptation import PairOptions
from clusterkit.adaptation.joint import BaseTerm, Joint
from clusterkit.losses import pair_loss


class Term(BaseTerm):
    """The pair loss on the outputs of the target's part of a batch, by the pairs binarised at one half."""

    def forward(self, joint: Joint) -> dict[str, Tensor]:
        pairs, options = self.domains.pairs, self.options
        assert pairs is not None
        assert isinstance(options, PairOptions)
        logits = joint.logits[joint.count :]
        similar = (pairs.logits(joint.index_t[joint.own_t.rows], joint.index_t) > 0).to(logits)
        return {"cluster": pair_loss(options.loss)(logits, similar, options.sigma)}
