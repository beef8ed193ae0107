"""What we would publish is whole: `python -m tests.check_package` builds it and looks inside."""

import email
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
README_AND_FRIENDS = (
    *("README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE"),
    *("inventory.yaml", "Makefile", "mkdocs.yml"),
)
UNITS = ("deploy/systemd/fleet-collect.service", "deploy/systemd/fleet-collect.timer")


def main() -> None:
    """Build wheel and source distribution; end with a sentence when one is not whole."""
    with tempfile.TemporaryDirectory() as folder:
        argv = [sys.executable, "-m", "build", "--outdir", folder, str(PROJECT)]
        built = subprocess.run(argv, check=False, capture_output=True, text=True)
        if built.returncode:
            sys.exit(f"python -m build failed:\n{built.stdout}{built.stderr}")
        (wheel,) = Path(folder).glob("*.whl")
        (sdist,) = Path(folder).glob("*.tar.gz")
        complaints = [*look_into_wheel(wheel), *look_into_sdist(sdist)]
        sizes = f"{wheel.name} {wheel.stat().st_size} bytes, {sdist.name} {sdist.stat().st_size}"
    if complaints:
        sys.exit("\n".join(complaints))
    print(f"Packages are whole: {sizes}")


def look_into_wheel(path: Path) -> list[str]:
    """Every module and nothing else, the command, the licence, the dependencies."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    ours = {
        str(file.relative_to(PROJECT))
        for file in (PROJECT / "fleet").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        (info,) = {name.split("/")[0] for name in names if ".dist-info/" in name}
        metadata = email.message_from_bytes(wheel.read(f"{info}/METADATA"))
        commands = wheel.read(f"{info}/entry_points.txt").decode()
    packed = {name for name in names if not name.startswith(f"{info}/")}
    complaints = [f"the wheel lacks {name}" for name in sorted(ours - packed)]
    complaints += [f"the wheel holds {name}" for name in sorted(packed - ours)]
    if "fleet/py.typed" not in ours:
        complaints.append("fleet/py.typed is missing, and we say that we are typed")
    if f"{info}/licenses/LICENSE" not in names:
        complaints.append("the wheel lacks the licence")
    for name, target in project["scripts"].items():
        if f"{name} = {target}" not in commands:
            complaints.append(f"the wheel lacks the command {name}")
    needed = {line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line}
    if {_name(line) for line in needed} != {_name(line) for line in project["dependencies"]}:
        complaints.append(f"the wheel's dependencies are {sorted(needed)}")
    if not metadata.get_payload():
        complaints.append("the wheel has no description: README.md is empty")
    return complaints


def look_into_sdist(path: Path) -> list[str]:
    """All that somebody needs who builds and tests from it, and nothing that is not in git."""
    with tarfile.open(path) as sdist:
        names = {member.name.partition("/")[2] for member in sdist if not member.isdir()}
    complaints = []
    if (PROJECT / ".git").exists():
        argv = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
        said = subprocess.run(argv, check=True, cwd=PROJECT, capture_output=True, text=True)
        strange = names - {"PKG-INFO", *said.stdout.split("\0")}
        complaints = [f"the source distribution holds {name}" for name in sorted(strange)]
    wanted = {*README_AND_FRIENDS, *UNITS, "pyproject.toml", "fleet/__init__.py"}
    wanted.add("tests/lab/pom.xml")
    lacking = [f"the source distribution lacks {name}" for name in sorted(wanted - names)]
    return lacking + complaints


def _name(requirement: str) -> str:
    return requirement.partition(";")[0].partition(">")[0].partition("=")[0].strip().lower()


if __name__ == "__main__":
    main()
