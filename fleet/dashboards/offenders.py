"""The questions of alert rules: their rows are what is wrong, each with one number."""

from fleet.dashboards import sql, tokens

_VISITS = sql.table(tokens.HOSTS)
_SWEEPS = sql.table(tokens.SWEEPS)
_STATES = sql.table(tokens.STATES)
_SAMPLES = sql.table(tokens.CONTAINERS)

MANY_RESTARTS = 3
"""Within an hour, or four intervals."""
FEW_SWEEPS = 6
"""A job that has made no more is being tried out."""

_ALIVE = ("running", "restarting", "paused")


def _since(seconds: str) -> str:
    return f"dateadd('s', -{seconds}, $__toTime)"


def _nobody_away(question: str) -> str:
    """A question without the hosts whose newest visit was in maintenance."""
    newest = (
        f"SELECT host, maintenance FROM {_VISITS} WHERE {sql.TIME} "
        "LATEST ON timestamp PARTITION BY host"
    )
    away = f"SELECT host AS away FROM ({newest}) WHERE maintenance"
    return (
        f"SELECT found.* FROM ({question}) found LEFT JOIN ({away}) aways "
        "ON found.host = aways.away WHERE away IS NULL"
    )


def host_not_ok() -> str:
    """Hosts whose two newest visits were not ok, the last of them within three intervals."""
    visits = (
        "SELECT host, status, maintenance, timestamp, "
        "row_number() OVER (PARTITION BY host ORDER BY timestamp DESC) AS place "
        f"FROM {_VISITS} WHERE {sql.TIME}"
    )
    return (
        "SELECT host, failed FROM (SELECT host, count() AS failed, max(timestamp) AS newest "
        f"FROM ({visits}) WHERE place <= 2 AND status <> 'ok' AND NOT maintenance) "
        f"WHERE failed = 2 AND newest >= {_since(tokens.intervals(3))} ORDER BY host"
    )


def no_sweep() -> str:
    """Jobs, and how many intervals ago their last sweep was; `any` where there was none at all."""
    sweeps = f"SELECT name, timestamp FROM {_SWEEPS} WHERE {sql.TIME}"
    pairs = (
        "SELECT name, timestamp, lag(timestamp) OVER (PARTITION BY name ORDER BY timestamp) "
        f"AS before FROM ({sweeps})"
    )
    gaps = (
        f"SELECT name, datediff('s', before, timestamp) AS gap FROM ({pairs}) "
        "WHERE before IS NOT NULL"
    )
    sorted_gaps = (
        "SELECT name, gap, row_number() OVER (PARTITION BY name ORDER BY gap) AS place, "
        f"count() OVER (PARTITION BY name) AS many FROM ({gaps})"
    )
    usual = f"SELECT name, gap FROM ({sorted_gaps}) WHERE place = (many + 1) / 2"
    jobs = f"SELECT name, count() AS sweeps, max(timestamp) AS newest FROM ({sweeps})"
    none = f"SELECT count() AS sweeps FROM ({sweeps})"
    return (
        "SELECT jobs.name AS name, datediff('s', newest, $__toTime) * 1.0 / "
        f"greatest({tokens.INTERVAL_SECONDS}, gap) AS intervals FROM ({jobs}) jobs "
        f"JOIN ({usual}) usual ON jobs.name = usual.name WHERE sweeps > {FEW_SWEEPS} "
        f"UNION ALL SELECT 'any' AS name, {tokens.WEEK_S} * 1.0 / {tokens.INTERVAL_SECONDS} "
        f"AS intervals FROM ({none}) WHERE sweeps = 0"
    )


def host_key_changed() -> str:
    """Hosts whose newest visit found another host key."""
    newest = (
        f"SELECT host, status, maintenance, timestamp FROM {_VISITS} WHERE {sql.TIME} "
        "LATEST ON timestamp PARTITION BY host"
    )
    return (
        f"SELECT host, count() AS changed FROM ({newest}) WHERE status = 'host_key_changed' "
        f"AND NOT maintenance AND timestamp >= {_since(tokens.intervals(3))} ORDER BY host"
    )


def memory_near_limit() -> str:
    """Containers whose newest row, of the last three intervals, has more than 90 %."""
    newest = (
        f"SELECT host, name, memory_percentage, timestamp FROM {_SAMPLES} WHERE {sql.TIME} "
        "LATEST ON timestamp PARTITION BY host, container"
    )
    visits = (
        f"SELECT host, max(timestamp) AS seen FROM {_VISITS} WHERE {sql.TIME} AND containers > 0"
    )
    return _nobody_away(
        "SELECT found.host AS host, name, max(memory_percentage) AS memory "
        f"FROM ({newest}) found JOIN ({visits}) visits ON found.host = visits.host "
        "WHERE memory_percentage > 90 AND timestamp >= seen "
        f"AND timestamp >= {_since(tokens.intervals(3))} ORDER BY host, name"
    )


def _words(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def vanished() -> str:
    """Containers that ran for an hour, are gone, and have nobody of their service or name there."""
    what = "CASE WHEN service IS NULL THEN name ELSE service END AS what"
    seen = (
        "SELECT host, container, name, timestamp, state, started, "
        f"CASE WHEN state IN ({_words(_ALIVE)}) THEN 1 ELSE 0 END AS alive, {what} "
        f"FROM {_STATES} WHERE {sql.TIME}"
    )
    before = "OVER (PARTITION BY host, container ORDER BY timestamp)"
    pairs = (
        f"SELECT host, name, what, timestamp, state, lag(alive) {before} AS was_alive, "
        f"lag(started) {before} AS was_started FROM ({seen})"
    )
    gone = (
        f"SELECT host, name, what FROM ({pairs}) WHERE state = 'vanished' AND was_alive = 1 "
        "AND was_started <= dateadd('h', -1, timestamp) "
        f"AND timestamp >= {_since(tokens.LATELY_S)}"
    )
    newest = (
        f"SELECT host, state, {what} FROM {_STATES} WHERE {sql.TIME} "
        "LATEST ON timestamp PARTITION BY host, container"
    )
    there = f"SELECT host, what, count() AS n FROM ({newest}) WHERE state IN ({_words(_ALIVE)})"
    return _nobody_away(
        "SELECT gone.host AS host, gone.name AS name, count() AS vanished "
        f"FROM ({gone}) gone LEFT JOIN ({there}) there "
        "ON gone.host = there.host AND gone.what = there.what WHERE n IS NULL ORDER BY host, name"
    )


def restarting() -> str:
    """Containers that Docker restarts again and again, and how often it did lately."""
    before = "OVER (PARTITION BY host, container ORDER BY timestamp)"
    pairs = (
        "SELECT host, container, name, state, timestamp, restarts, "
        f"lag(restarts) {before} AS had, lag(timestamp) {before} AS had_at "
        f"FROM {_STATES} WHERE {sql.TIME} AND state <> 'vanished'"
    )
    is_near = f"datediff('s', had_at, timestamp) <= {tokens.LOOK_BACK_S}"
    lately = (
        "SELECT host, container, last(name) AS name, last(state) AS state, "
        f"sum(CASE WHEN restarts > had AND {is_near} THEN restarts - had ELSE 0 END) AS restarts "
        f"FROM ({pairs}) WHERE timestamp >= {_since(tokens.LATELY_S)}"
    )
    return _nobody_away(
        f"SELECT host, name, max(restarts) AS restarts FROM ({lately}) "
        f"WHERE restarts >= {MANY_RESTARTS} OR state = 'restarting' AND restarts > 0 "
        "ORDER BY host, name"
    )


def spool_grows() -> str:
    """Jobs at whose last three sweeps more and more rows waited."""
    sweeps = (
        "SELECT name, spooled, "
        "row_number() OVER (PARTITION BY name ORDER BY timestamp DESC) AS place "
        f"FROM {_SWEEPS} WHERE {sql.TIME}"
    )
    newest = (
        "SELECT name, max(CASE WHEN place = 1 THEN spooled END) AS newest, "
        "max(CASE WHEN place = 2 THEN spooled END) AS second, "
        f"max(CASE WHEN place = 3 THEN spooled END) AS third FROM ({sweeps}) WHERE place <= 3"
    )
    return (
        f"SELECT name, newest AS spooled FROM ({newest}) "
        "WHERE newest > second AND second > third ORDER BY name"
    )
