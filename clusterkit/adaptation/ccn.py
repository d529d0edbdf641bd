"""CCN+: learn target clusters that agree with the target's pairs (L2C, equation 9)."""

from torch import Tensor

from clusterkit.adaptation import PairOptions
from clusterkit.adaptation.joint import BaseTerm, Joint
from clusterkit.losses import pair_loss


class Term(BaseTerm):
    """Pair loss on the target's rows of a batch, with pairs binarised at probability one half."""

    def forward(self, joint: Joint) -> dict[str, Tensor]:
        pairs, options = self.domains.pairs, self.options
        assert pairs is not None
        assert isinstance(options, PairOptions)
        logits = joint.logits[joint.count :]
        similar = (pairs.logits(joint.index_t[joint.shard_t.rows], joint.index_t) > 0).to(logits)
        return {"cluster": pair_loss(options.loss)(logits, similar, options.sigma)}
