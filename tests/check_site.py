"""The manual is whole: `python -m tests.check_site` builds it aside, strictly, and looks inside."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]

FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|object|embed)\b[^>]*?\b(?:src|data)=["']?((?:https?:)?//[^"'\s>]+)
      | <link\b[^>]*?\bhref=["']?((?:https?:)?//[^"'\s>]+)
      | url\(["']?((?:https?:)?//[^"')]+)
      | @import\s+["']((?:https?:)?//[^"']+)""",
    re.VERBOSE,
)
"""What a browser would get from elsewhere: scripts, pictures, style sheets, fonts."""


def main() -> None:
    """Build the site; end with a sentence when it is not whole."""
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder, "site")
        said = build(PROJECT, site)
        if said.returncode:
            sys.exit(f"mkdocs build --strict failed:\n{said.stdout}{said.stderr}")
        complaints = [f"{page} fetches {address}" for page, address in fetched(site)]
        pages = len(list(site.glob("*.html")))
    if complaints:
        sys.exit("\n".join(complaints))
    print(f"The manual is whole: {pages} pages")


def build(project: Path, site: Path) -> "subprocess.CompletedProcess[str]":
    """Build the pages of a project's `docs` with every warning an error."""
    # Not --quiet: what is not printed is not counted, and then --strict passes it.
    argv = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    argv += ["--config-file", str(project / "mkdocs.yml"), "--site-dir", str(site)]
    return subprocess.run(argv, check=False, capture_output=True, text=True, timeout=120)


def fetched(site: Path) -> list[tuple[str, str]]:
    """Each file of a site that would have a browser get something from elsewhere, and what."""
    return [
        (str(path.relative_to(site)), next(filter(None, found.groups())))
        for path in sorted(site.rglob("*"))
        if path.suffix in (".html", ".css", ".svg")
        for found in FETCHED.finditer(path.read_text(errors="replace"))
    ]


if __name__ == "__main__":
    main()
