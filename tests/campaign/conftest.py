import pkgutil
from importlib import import_module
from pathlib import Path

import pytest
import typer.main

import clusterkit
from clusterkit.cli import app

HEAVY = (
    "h5py", "matplotlib.pyplot", "scipy.cluster.hierarchy", "scipy.sparse.csgraph", "sklearn.cluster", "timm",
    "torch._dynamo", "torchvision.transforms.v2",
)  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def _loaded() -> None:
    """Load once what the commands would load in each process of their own, which takes most of their time."""
    for name in (*HEAVY, *(module.name for module in pkgutil.walk_packages(clusterkit.__path__, "clusterkit."))):
        import_module(name)
    typer.main.get_command(app)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which a process of tests makes the beginnings and the ends of the stories."""
    return tmp_path_factory.mktemp("stories")


class Now:
    """Shows each fault at once, because the summary comes hours later."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            reporter = self.config.pluginmanager.get_plugin("terminalreporter")
            reporter.write_line(f"\n{report.nodeid}\n{report.longreprtext}")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Now(config))
