"""The built wheel, in an environment that has nothing else."""

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parent.parent


def _run(*words: str | Path) -> str:
    run = subprocess.run(
        [str(word) for word in words],
        check=False,
        capture_output=True,
        text=True,
        cwd="/",
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_wheel_runs_in_an_empty_environment(tmp_path):
    """Built, installed by pip with what it asks for, and run as a command and as a module."""
    # Not by pip: an environment that uv made has none.
    _run(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, PROJECT)
    (wheel,) = tmp_path.glob("fleet_docker_stats-*.whl")
    _run(sys.executable, "-m", "venv", tmp_path / "venv")
    python = tmp_path / "venv/bin/python"
    _run(python, "-m", "pip", "install", "-q", wheel)
    command = tmp_path / "venv/bin/fleet"
    version = wheel.name.split("-")[1]
    assert _run(command, "--version") == _run(python, "-m", "fleet", "--version")
    assert _run(command, "--version") == f"fleet {version}\n"
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text("all: {hosts: {'here': {fleet_connection: local}}}\n")
    assert _run(command, "hosts", "-i", inventory) == "here\n"
    # All that a run imports is there: a visit whose docker is missing, and ILP of its rows.
    code = "import fleet.transport.ssh, fleet.publish, fleet.report; print(fleet.__file__)"
    assert _run(python, "-c", code).startswith(str(tmp_path))
