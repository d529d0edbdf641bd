"""DANN: learn features from which a discriminator cannot tell the domains apart (Ganin et al. 2016)."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from clusterkit.adaptation.joint import BaseTerm, Joint
from clusterkit.networks.domain import Discriminator, reversed_gradient


class Term(BaseTerm):
    """Loss of a discriminator on the hidden layer of both domains. The hidden layer gets the reversed gradient."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.discriminator = Discriminator(self.hidden)

    def forward(self, joint: Joint) -> dict[str, Tensor]:
        from_source = self.discriminator(reversed_gradient(joint.hidden, self.ramp()))
        source = F.softplus(-from_source[: joint.count]).mean() * joint.shard_s.weight
        target = F.softplus(from_source[joint.count :]).mean() * joint.shard_t.weight
        return {"domain": (source + target) / 2}
