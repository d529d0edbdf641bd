import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import clusterkit

ROOT = Path(clusterkit.__file__).parent
FLOORS = (
    {"cli", "__main__"},
    {"studies"},
    {"python"},
    {"stages"},
    {"report"},
    {"methods", "adaptation", "critic"},
    {"training", "replay", "states"},
    {"metrics"},
    {"pairs"},
    {"networks", "features"},
    {"losses", "augment"},
    {"datasets"},
    {"distributed"},
    {"artifacts", "device"},
    {"config"},
    {"reading"},
    {"settings"},
    {"sampling", "console", "errors"},
)
"""From the top down. Side by side on one floor they may use each other."""
DEPTH = {name: depth for depth, names in enumerate(FLOORS) for name in names}
TERMINAL = {"typer", "rich"}
ESTIMATOR = "clusterkit.python.estimator"
"""It defines a class of scikit-learn's, so it imports it; nothing else imports this module before a program asks."""


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports_of(module: str, *, at_import: bool = False) -> set[str]:
    """Every module that this one imports anywhere in its text, or only at its own import."""
    tree = ast.parse(MODULES[module].read_text())
    found: set[str] = set()
    for node in tree.body if at_import else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            assert node.module is not None
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            found |= inner or {node.module}
    return found


def part(module: str) -> str:
    """The first name below the package: its layer's member. The package itself is below all."""
    return module.split(".")[1] if "." in module else ""


def test_every_part_of_the_package_has_a_floor() -> None:
    assert {part(module) for module in MODULES} - {""} <= DEPTH.keys()


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_one_way(module: str) -> None:
    for other in imports_of(module, at_import=module == "clusterkit"):
        top = other.split(".")[0]
        if top in TERMINAL:
            assert part(module) in {"cli", "console", "__main__"}, f"{module} imports {other}"
        if top != "clusterkit" or not part(other):
            continue
        assert DEPTH[part(module)] <= DEPTH[part(other)], f"{module} imports {other}, which is above it"
        if part(module) == "stages" and module != "clusterkit.stages":
            assert part(other) != "stages", f"{module} imports {other}: stages meet only through files"


def test_the_package_and_the_lowest_layer_need_nothing() -> None:
    assert imports_of("clusterkit", at_import=True) == {"typing"}
    assert imports_of("clusterkit.errors") == set()
    for module, allowed in {
        "clusterkit.console": TERMINAL,
        "clusterkit.settings": set(),
        "clusterkit.reading": set(),
        "clusterkit.config": set(),
    }.items():
        outside = {other for other in imports_of(module) if other.split(".")[0] not in sys.stdlib_module_names}
        own = {other for other in outside if other.startswith("clusterkit")}
        assert own <= {"clusterkit.errors", "clusterkit.reading", "clusterkit.settings"}
        assert {other.split(".")[0] for other in outside - own} <= allowed


@pytest.mark.parametrize("module", MODULES)
def test_every_module_can_be_imported(module: str) -> None:
    importlib.import_module(module)


@pytest.mark.parametrize("module", MODULES)
def test_heavy_optional_libraries_are_imported_where_they_are_used(module: str) -> None:
    heavy = {"sklearn", "matplotlib", "pandas", "timm", "huggingface_hub"}
    heavy -= {"sklearn"} if module == ESTIMATOR else set()
    assert not {other.split(".")[0] for other in imports_of(module, at_import=True)} & heavy
    if module != "clusterkit":
        assert ESTIMATOR not in imports_of(module)


HEAVY = {"torch", "timm", "torchvision", "h5py", "sklearn", "matplotlib", "scipy", "numpy", "pandas"}


def loaded_by(*codes: str) -> list[set[str]]:
    """Every module that a new process has loaded after each code."""
    code = "\n".join(["import sys", *(f"{code}; print(*sys.modules)" for code in codes)])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [set(line.split()) for line in done.stdout.splitlines()]


def test_the_package_loads_nothing_of_its_own_before_it_is_asked() -> None:
    [loaded] = loaded_by("import clusterkit; dir(clusterkit); clusterkit.__version__")
    assert not HEAVY & loaded
    assert not {name for name in loaded if name.startswith("clusterkit.")}


def test_functions_on_arrays_load_no_scikit_learn_and_add_no_handler() -> None:
    functions, estimator = loaded_by(
        "import clusterkit, logging; clusterkit.cluster, clusterkit.load; "
        "assert logging.getLogger('clusterkit').handlers == []",
        "from clusterkit import PairClustering",
    )
    assert "torch" in functions
    assert not {"sklearn", "pandas", "matplotlib", "typer", ESTIMATOR} & functions
    assert "sklearn" in estimator


def test_stages_load_no_library_of_models_until_they_use_one() -> None:
    for loaded in loaded_by(*(f"from clusterkit.stages import {stage}" for stage in ("evaluate", "cluster", "embed"))):
        assert "torch" in loaded
        assert not {"torchvision", "timm", "torch._dynamo"} & loaded


def test_the_command_line_loads_nothing_heavy() -> None:
    [loaded] = loaded_by("import clusterkit.cli")
    assert not HEAVY & loaded


def test_every_test_file_has_a_name_of_its_own() -> None:
    """pytest takes files of the same name for one module."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
