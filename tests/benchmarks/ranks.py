"""What bench_scaling.py runs in each of several processes: steps of CCN, their time and what they send.

torchrun --nproc-per-node R ranks.py BATCH K
"""

import statistics
import sys
import time
from typing import Any

import torch

from clusterkit import distributed
from clusterkit.config import Backbone
from clusterkit.losses.ccl import ccl
from clusterkit.networks.build import Architecture, ClusterNet
from clusterkit.networks.global_norm import globalise

REPEATS = 7


def main(batch: int, k: int) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = ClusterNet(Architecture(Backbone.CONV4, (1, 32, 32), (0.1,), (0.3,), 512, k)).train()
    sent = 0
    together = distributed._together

    def counted(function: Any, *arguments: Any) -> None:
        """As docs/lab/scaling.md counts: an all-reduce of n values is 2 n, an all-gather of n values in all is n."""
        nonlocal sent
        parts = arguments[0]
        size = sum(part.nbytes for part in parts) if isinstance(parts, list) else 2 * parts.nbytes
        sent += size
        together(function, *arguments)

    distributed._together = counted
    with distributed.joined("cpu"):
        globalise(network)
        optimizer = torch.optim.Adam(network.parameters(), fused=True)
        own = distributed.share(batch)
        x, similar = torch.rand(batch, 1, 32, 32)[own.rows], (torch.rand(batch, batch) > 0.95).float()
        similar = torch.maximum(similar, similar.T)[own.rows]
        times = []
        for _ in range(REPEATS):
            sent = 0
            start = time.perf_counter()
            optimizer.zero_grad(set_to_none=True)
            ccl(network(x), similar).backward()
            distributed.sum_gradients(network.parameters())
            optimizer.step()
            times.append(time.perf_counter() - start)
        norms = sum(len(value) for name, value in network.state_dict().items() if name.endswith("running_mean"))
        parameters = sum(parameter.numel() for parameter in network.parameters())
        count = distributed.size()
        expected = 4 * (4 * norms * (count + 1) + batch * k + 2 * parameters) if count > 1 else 0
        if distributed.is_first():
            print(statistics.median(times[1:]), sent, expected)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
