"""Category discovery by transfer."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clusterkit.python.clustering import cluster
    from clusterkit.python.estimator import PairClustering
    from clusterkit.python.loading import load

__version__ = "0.2.0"
__all__ = ["PairClustering", "__version__", "cluster", "load"]

_MODULES = {"PairClustering": "estimator", "cluster": "clustering", "load": "loading"}


def __getattr__(name: str) -> Any:
    """Import a name of the Python interface on first use, because it imports PyTorch."""
    if name not in _MODULES:
        raise AttributeError(f"module 'clusterkit' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"clusterkit.python.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
