"""Where the documents of a case lie, and which of them `-i` names."""

import random
from collections.abc import Collection

from tests.oracle.case import STDIN, Case, Document
from tests.oracle.constructs import JSON, ONLY_YAML

_PATHS = {"json_file": "j/listing.json", "json_stdin": STDIN, "json_program": "p/dynamic"}
_IN_FOLDER = {"json_file": "inv/15-listing.json", "json_program": "inv/25-dynamic.py"}
_YAML = ("a/hosts.yml", "a/more.yaml", "b/hosts.yml", "c/plain")
_JUNK = ("inv/hosts.yml~", "inv/.hosts.yml", "inv/05-old.yml.bak", "inv/notes.txt", "inv/x.cfg")


def lay_out(case: Case, wanted: Collection[str], rng: random.Random) -> None:
    """Give `case` its sources and empty documents, as the wanted constructs need them."""
    json = [name for name in JSON if name in wanted]
    files = any(name.startswith(("group_vars", "host_vars")) for name in wanted)
    bound = any(name in ONLY_YAML for name in wanted) or (json == ["json_stdin"] and files)
    yaml = 1 if bound or not json else rng.choice((0, 0, 1)) if len(wanted) > 2 else 0
    folder = "folder_source" in wanted
    if folder:
        yaml = max(yaml, 1 if set(json) & _IN_FOLDER.keys() else 2)
    sources, documents = [], []
    if folder:
        sources.append("inv")
        case.used.add("folder_source")
        inside = rng.randint(min(2, yaml), yaml)
        names = rng.sample(("inv/10-a.yml", "inv/20-b.yaml", "inv/30-c"), inside)
        if rng.random() < 0.3:
            names[-1] = "inv/17-more/hosts.yml"
        documents += [Document(name) for name in sorted(names)]
        yaml -= inside
        case.junk.update(dict.fromkeys(rng.sample(_JUNK, 2), "web: {hosts: {junk: }}\n"))
    for name in json:
        inner = _IN_FOLDER.get(name) if folder and (len(json) == 1 or rng.random() < 0.5) else None
        path = inner or _PATHS[name]
        documents.append(Document(path, name))
        if not inner:
            sources.append(path)
    for path in rng.sample(_YAML, yaml):
        documents.append(Document(path))
        sources.append(path)
    texts = [document.path for document in documents]
    free = [path for path in _YAML if path not in sources]
    while "several_sources" in wanted and len(sources) < rng.choice((2, 2, 3)):
        path = free.pop(rng.randrange(len(free)))
        documents.append(Document(path))
        sources.append(path)
    rng.shuffle(sources)
    if "several_sources" in wanted and rng.random() < 0.15:  # one of them again
        again = [path for path in (*sources, "inv/10-a.yml") if path in texts and path != STDIN]
        sources += again[:1]
    if len(sources) > 1:
        case.used.add("several_sources")
    case.used.update(json)
    case.sources, case.documents = sources, documents


def folders(case: Case) -> list[str]:
    """The folders in which `group_vars` and `host_vars` count."""
    found = ["inv" if s == "inv" else s.rpartition("/")[0] for s in case.sources if s != STDIN]
    return list(dict.fromkeys(found))
