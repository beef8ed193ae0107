"""The words in a model that `render` replaces: nothing else in it is written so."""

CONTAINERS = "@containers@"
HOSTS = "@hosts@"
SWEEPS = "@sweeps@"
STATES = "@states@"
NODES = "@nodes@"
DISKS = "@disks@"

DATASOURCE = "@datasource@"
INTERVAL = "@interval@"
"""From one sweep to the next, as Grafana writes it: 5m."""
INTERVAL_SECONDS = "@interval_seconds@"
LOOK_BACK_S = "@look_back_s@"
"""Seconds in which each container that is there has a row in `containerState`: two hours, or two
intervals."""
LATELY_S = "@lately_s@"
"""Seconds: an hour, or four intervals."""
ALERT_RANGE_S = "@alert_range_s@"
"""Both together."""
WEEK_S = "@week_s@"
"""Seconds: a week, or twenty intervals."""


def intervals(count: int) -> str:
    """So many times the seconds from one sweep to the next."""
    return f"@intervals_{count}@"


LABEL = "@label@"
"""The variable that stands for each label's."""
OF_LABELS = "@of_labels@"
"""A condition on the columns of labels, by the variables of all of them; and each in LABELS_SO_FAR,
by those that come before."""
LABELS_SO_FAR = "@labels_so_far@"
LAST_LABELS = "@last_labels@"
"""Columns of labels in a query that groups."""
LABEL_COLUMNS = "@label_columns@"
"""The same where nothing is grouped."""
