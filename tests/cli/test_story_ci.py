"""A pipeline in continuous integration: real processes, odd environments, closed pipes, two jobs at once."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Cli

PIPELINE = (
    "train-g synthetic:blobs --backbone mlp --hidden 32 --epochs 5 --learning-rate 0.01",
    "predict-pairs synthetic:blobs",
    "cluster --k 10 --epochs 4 --backbone mlp",
    "estimate-k",
    "evaluate --fail-under acc=0.5",
)
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "CLUSTERKIT_OFFLINE": "1"}
for name in ("HOME", "XDG_CACHE_HOME", "LANG", "LC_ALL", "LC_CTYPE", "TERM"):
    ENVIRONMENT.pop(name, None)
PROGRAM = [sys.executable, "-m", "clusterkit"]
SEVERAL = """
import sys
from clusterkit.__main__ import main
codes = [main(line.split()) for line in sys.argv[1:]]
print(*codes)
sys.exit(max(codes))
"""
"""Several lines in one process, to be quick; their exit codes are the last line of stdout."""
# Older versions of PyTorch leave a temporary folder of their own to be removed at the end.
WARNINGS = "error,ignore:Implicitly cleaning up:ResourceWarning"
ODD = {"HOME": "/proc/nobody", "LANG": "C", "LC_ALL": "C", "TERM": "dumb", "PYTHONWARNINGS": WARNINGS}
"""A home that cannot be written, a locale that is not UTF-8, and warnings that are errors."""


def run(words: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False, env={**ENVIRONMENT, **environment})


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash, in which `clusterkit` is the program, and `several` the program for several lines."""
    program = f'clusterkit() {{ "{sys.executable}" -m clusterkit "$@"; }}'
    script = f'set -o pipefail; {program}; several() {{ {shlex.join([sys.executable, "-c", SEVERAL])} "$@"; }}; {line}'
    return run(["bash", "-c", script])


def test_the_pipeline_runs():
    """The first command runs without any home or locale, then all of them in odd ones, in one process to be quick."""
    lines = [f"{line} --json" for line in PIPELINE]
    plot = "inspect clusterkit-out/ccn.safetensors --plot losses.png"
    first = run([*PROGRAM, *lines[0].split()])
    odd = run([sys.executable, "-c", SEVERAL, *lines, plot], **ODD)
    for done, count in ((first, 1), (odd, len(lines))):
        assert done.returncode == 0, done.stderr
        assert [type(json.loads(row)) for row in done.stdout.splitlines()[:count]] == [dict] * count
        assert all(row.startswith("clusterkit: ") for row in done.stderr.splitlines()), done.stderr
        assert "\x1b" not in done.stderr
    assert odd.stdout.splitlines()[len(lines) :] == ["losses.png", "0 0 0 0 0 0"]
    assert sorted(path.name for path in Path("clusterkit-out").iterdir()) == [
        "assignments.h5", "ccn.safetensors", "evaluation.json", "g.safetensors", "k.json", "pairs.h5",
    ]  # fmt: skip


def test_pipes(points):
    done = shell("clusterkit evaluate --json --quiet | python3 -m json.tool")
    assert done.returncode == 0
    assert json.loads(done.stdout)["mean"]["acc"] == 1
    for line in (
        "clusterkit -h | head -0",
        "clusterkit evaluate 2>&1 >/dev/null | head -0",
        "clusterkit evaluate >&-",
    ):
        done = shell(line)
        assert done.returncode == 0, (line, done)
        assert "rror" not in done.stderr
    done = shell("several estimate-k 'evaluate --workdir nowhere' 2>&-")
    assert (done.stdout, done.stderr) == ("5\n0 3\n", "")
    assert not Path("nowhere").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_result_that_cannot_be_printed(points):
    done = shell("clusterkit evaluate > /dev/full")
    assert done.returncode == 3
    assert "No space left on device" in done.stderr.splitlines()[-1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_log_ends_no_command(points):
    done = shell("several 'cluster --k 10 --epochs 1 --backbone mlp' 'evaluate --workdir nowhere' 2> /dev/full")
    assert (done.returncode, done.stdout) == (3, "clusterkit-out/assignments.h5\n0 3\n")


def test_two_jobs_at_once_in_one_work_folder(cli: Cli):
    long = "train-g synthetic:blobs --backbone mlp --hidden 8 --epochs 100000"
    first = subprocess.Popen([*PROGRAM, *long.split()], stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    try:
        assert any("epoch 1/" in row for row in iter(first.stderr.readline, ""))
        for line in ("train-g synthetic:moons --backbone mlp", "evaluate"):
            second = cli(line)
            assert (second.code, second.out) == (3, "")
            [text] = second.err.splitlines()
            assert "clusterkit-out: another job is writing there (clusterkit train-g, process " in text
            assert f"process {first.pid}, since 2" in text
            assert text.endswith("wait for it, or name another folder with --workdir")
        state = next(Path("clusterkit-out").glob(".*.state/*.safetensors"))
        assert cli(f"inspect {state} --history").code == 0, "reading is always possible"
        assert cli("train-g synthetic:moons --backbone mlp --epochs 1 --workdir other").code == 0
        assert first.poll() is None
    finally:
        first.kill()
        first.communicate()
    done = cli("train-g synthetic:blobs --backbone mlp --hidden 8 --epochs 1")
    assert done.code == 0, "a killed job blocks nobody"
    assert [path.name for path in Path("clusterkit-out").iterdir()] == ["g.safetensors"]
