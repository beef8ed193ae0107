"""Names of a test's own for our six tables, and the options that say them."""

OPTIONS = {
    "containers": "--table",
    "hosts": "--status-table",
    "sweeps": "--sweep-table",
    "states": "--state-table",
    "nodes": "--node-table",
    "disks": "--disk-table",
}


def tables_named(form: str) -> dict[str, str]:
    """A name for each table by `form`, which holds `{}` for what it is of."""
    return {kind: form.format(kind) for kind in OPTIONS}


def table_words(tables: dict[str, str]) -> list[str]:
    """The options that say these names."""
    return [word for kind, name in tables.items() for word in (OPTIONS[kind], name)]
