"""The page as one file that needs nothing else: no network, no server, no other file."""

import base64
import hashlib
from collections.abc import Iterator
from importlib.resources import files

from fleet.page import charts, parts
from fleet.page.facts import Facts, Heading
from fleet.page.write import inside_script, lasting, moment, text


def page(facts: Facts, heading: Heading, plotly: str) -> bytes:
    """The whole page; `plotly` is the text of Plotly's script."""
    return "\n".join(_lines(facts, heading, plotly)).encode(errors="backslashreplace")


def _lines(facts: Facts, heading: Heading, plotly: str) -> Iterator[str]:
    scripts = [_script(plotly), _script(_ours("page.js"))]
    title = text(heading.title)
    yield '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
    yield f"<title>{title}</title><style>{_ours('style.css')}</style></head><body>"
    yield f"<header><h1>{title}</h1>"
    yield (
        f"<p><b>{moment(facts.span.since)}</b> to <b>{moment(facts.span.until)}</b> UTC "
        f"({lasting(facts.span.seconds)})</p>"
    )
    asked = " ".join(heading.patterns) if heading.patterns else "all with rows in this range"
    yield (
        f'<p class="note">Hosts: {text(asked)}. Made at {moment(heading.made_at)} UTC by fleet '
        f"{text(heading.version)}. Every time on this page is UTC. Lines are means over "
        f"{lasting(facts.grid.width.seconds)}; a gap means that nothing is known, and never 0.</p>"
        "</header>"
    )
    yield "<main>"
    for part in (parts.figures, parts.strips, parts.events, parts.tops, parts.disks):
        yield from part(facts)
    yield (
        "<noscript><p>The charts need scripts, and so do the numbers of machines and of single "
        "containers; the other numbers do not.</p></noscript>"
    )
    yield from charts.sections(facts)
    yield from parts.left_out(facts)
    yield "</main>"
    yield f'<script type="application/json" id="data">{inside_script(charts.data(facts))}</script>'
    for script in scripts:
        yield f"<script>{script}</script>"
    yield "</body></html>\n"


def _ours(name: str) -> str:
    return files(__package__ or "fleet.page").joinpath(name).read_text(encoding="utf-8")


def _script(source: str) -> str:
    """A script's text such that HTML's parser finds its end where it is, and hashes agree."""
    lines = source.replace("\r\n", "\n").replace("\r", "\n")
    return lines.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _policy(scripts: list[str]) -> str:
    """What a browser may do for this page: run these scripts and no other, and connect nowhere."""
    hashes = " ".join(f"'sha256-{_hash(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "connect-src 'none'; base-uri 'none'; form-action 'none'"
    )


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
