"""Panels with our habits: a unit, a description, a legend with figures, gaps for the unknown.

Needs `grafana-foundation-sdk`; only `build` imports this.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog import builder as cog
from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models import dashboard as model

from fleet.dashboards import tokens
from fleet.dashboards.sql import NOT_VISITED

PLUGIN = "questdb-questdb-datasource"

GREEN, YELLOW, ORANGE, RED, BLUE, GREY = "green", "yellow", "orange", "red", "blue", "#8e8e8e"
STATUS_COLOURS = {
    "ok": GREEN,
    "partial": YELLOW,
    "skipped": GREY,
    NOT_VISITED: "dark-yellow",
    "host_key_changed": "dark-red",
    "host_key_unknown": "dark-orange",
}
"""Of statuses; any other is red."""

Limit = tuple[float | str, str]
"""A number, or a token that is one once it is filled in, and the colour from it on."""
Panel = cog.Builder[model.Panel]
AnyPanel = TypeVar("AnyPanel", bound=Any)


class Format(IntEnum):
    """How the plugin turns rows into a frame."""

    TIME_SERIES = 0
    TABLE = 1


class _Query(variants.Dataquery):
    """One question of a panel, as the plugin reads it."""

    def __init__(self, sql: str, form: Format, letter: str) -> None:
        self.sql, self.form, self.letter = sql, form, letter

    def to_json(self) -> dict[str, object]:
        """What stands in the dashboard."""
        return {
            "refId": self.letter,
            "datasource": {"type": PLUGIN, "uid": tokens.DATASOURCE},
            "queryType": "sql",
            "rawSql": self.sql,
            "format": int(self.form),
            "selectedFormat": int(self.form),
        }


class Query(cog.Builder[variants.Dataquery]):
    """A builder of that."""

    def __init__(self, sql: str, form: Format, letter: str = "A") -> None:
        self._query = _Query(sql, form, letter)

    def build(self) -> variants.Dataquery:
        """The question."""
        return self._query


def source() -> shapes.DataSourceRef:
    """The data source of every panel."""
    return shapes.DataSourceRef(type_val=PLUGIN, uid=tokens.DATASOURCE)


def steps(*limits: Limit, good: str = GREEN) -> dashboard.ThresholdsConfig:
    """`good` below the first limit, then each limit's colour from it on."""
    found = [model.Threshold(value=None, color=good)]
    for value, colour in limits:
        number: Any = value
        found.append(model.Threshold(value=number, color=colour))
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(found)


def status_overrides(panel: AnyPanel) -> AnyPanel:
    """The colour of each status, where a series is of one; any other is a shade of red. Grafana
    looks for names before ours: `hosts ok`, or the labels whole.
    """
    panel.color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.SHADES).fixed_color(RED))
    for status, colour in STATUS_COLOURS.items():
        panel.override_by_regexp(rf"/\b{status}\b/", [colour_of(colour)])
    return panel


def status_mapping(good: str = GREEN) -> list[model.ValueMapping]:
    """Statuses as values: each in its colour."""
    colours = {**STATUS_COLOURS, "ok": good}
    named = {
        status: model.ValueMappingResult(color=colour, index=place)
        for place, (status, colour) in enumerate(colours.items())
    }
    rest = model.ValueMappingResult(color=RED, index=len(named))
    return [
        model.ValueMap(options=named),
        model.RegexMap(options=model.DashboardRegexMapOptions(pattern="^(.+)$", result=rest)),
    ]


def colour_of(colour: str) -> model.DynamicConfigValue:
    """A field's colour, as the property of an override."""
    return model.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": colour})


def link_to(uid: str, title: str, **variables: str) -> dashboard.DashboardLink:
    """A link on a field to another of our dashboards, in the same range."""
    query = "&".join(f"var-{name}={value}" for name, value in variables.items())
    return (
        dashboard.DashboardLink(title)
        .url(f"/d/{uid}?{query}&${{__url_time_range}}")
        .target_blank(False)
    )


def linked(links: Sequence[dashboard.DashboardLink]) -> model.DynamicConfigValue:
    """Links, as the property of an override."""
    built = [link.build() for link in links]
    return model.DynamicConfigValue(
        id_val="links", value=[{"title": link.title, "url": link.url} for link in built]
    )


def _begun(
    panel: AnyPanel, title: str, description: str, unit: str, box: tuple[int, int]
) -> AnyPanel:
    width, height = box
    panel.title(title).description(description).datasource(source())
    panel.unit(unit).span(width).height(height)
    panel.interval(tokens.INTERVAL)
    return panel


def lines(
    title: str,
    description: str,
    unit: str,
    *questions: str,
    name: str,
    box: tuple[int, int] = (12, 9),
    stacked: bool = False,
    most: float | None = None,
    limits: Sequence[Limit] = (),
) -> timeseries.Panel:
    """Time series. `name` is what a line is called, with `${__field.labels.…}`; `limits` are drawn
    as dashed lines.
    """
    panel = _begun(timeseries.Panel(), title, description, unit, box)
    for place, sql in enumerate(questions):
        panel.with_target(Query(sql, Format.TIME_SERIES, chr(ord("A") + place)))
    panel.display_name(name).line_width(1).fill_opacity(60 if stacked else 8)
    panel.show_points(shapes.VisibilityMode.AUTO).span_nulls(False)
    if stacked:
        panel.stacking(common.StackingConfig().mode(shapes.StackingMode.NORMAL).group("A"))
    panel.min(0)
    if most is not None:
        panel.max(most)
    if limits:
        dashed = common.GraphThresholdsStyleConfig().mode(shapes.GraphThresholdsStyleMode.DASHED)
        panel.thresholds(steps(*limits, good="transparent")).thresholds_style(dashed)
    legend = common.VizLegendOptions().display_mode(shapes.LegendDisplayMode.TABLE)
    legend.placement(shapes.LegendPlacement.BOTTOM).show_legend(True)
    panel.legend(legend.calcs(["lastNotNull", "mean", "max"]))
    tooltip = common.VizTooltipOptions().mode(shapes.TooltipDisplayMode.MULTI)
    panel.tooltip(tooltip.sort(shapes.SortOrder.DESCENDING))
    return panel


def figure(
    title: str,
    description: str,
    unit: str,
    sql: str,
    thresholds: dashboard.ThresholdsConfig,
    box: tuple[int, int] = (3, 4),
    field: str | None = None,
) -> stat.Panel:
    """One number, in the colour of its threshold. `field` names the column where it is a text."""
    panel = _begun(stat.Panel(), title, description, unit, box)
    panel.with_target(Query(sql, Format.TABLE)).thresholds(thresholds).no_value("no data")
    panel.color_mode(shapes.BigValueColorMode.VALUE).graph_mode(shapes.BigValueGraphMode.NONE)
    reduced = common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)
    panel.reduce_options(reduced.fields(f"/^{field}$/" if field else ""))
    return panel


def bars(
    title: str,
    description: str,
    unit: str,
    sql: str,
    text: str,
    number: str,
    box: tuple[int, int] = (6, 8),
) -> bargauge.Panel:
    """A bar for each row, named for its column `text`, as long as its column `number` says."""
    panel = _begun(bargauge.Panel(), title, description, unit, box)
    panel.with_target(Query(sql, Format.TABLE)).thresholds(steps(good=BLUE)).min(0)
    fields = [
        {"fieldName": text, "handlerKey": "field.name"},
        {"fieldName": number, "handlerKey": "field.value"},
    ]
    panel.with_transformation(
        model.DataTransformerConfig(id_val="rowsToFields", options={"mappings": fields})
    )
    panel.orientation(shapes.VizOrientation.HORIZONTAL)
    panel.display_mode(shapes.BarGaugeDisplayMode.BASIC)
    return panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))


def rows(
    title: str,
    description: str,
    sql: str,
    box: tuple[int, int] = (24, 9),
    unit: str = "string",  # else Grafana takes names and ids that look like numbers for numbers
    **columns: Sequence[model.DynamicConfigValue],
) -> table.Panel:
    """A table; `columns` are properties by the column they are for."""
    panel = _begun(table.Panel(), title, description, unit, box)
    panel.with_target(Query(sql, Format.TABLE)).filterable(True)
    for column, properties in columns.items():
        panel.override_by_name(column, list(properties))
    return panel


def strip(
    title: str, description: str, sql: str, box: tuple[int, int] = (24, 4)
) -> statetimeline.Panel:
    """A text over time."""
    panel = _begun(statetimeline.Panel(), title, description, "string", box)
    panel.with_target(Query(sql, Format.TABLE)).mappings(status_mapping())
    panel.fill_opacity(80).line_width(0)
    return panel.show_value(shapes.VisibilityMode.NEVER).merge_values(True)


def unit(name: str, decimals: int | None = None) -> list[model.DynamicConfigValue]:
    """A column's unit, as a property of an override."""
    found = [model.DynamicConfigValue(id_val="unit", value=name)]
    if decimals is not None:
        found.append(model.DynamicConfigValue(id_val="decimals", value=decimals))
    return found


def coloured(*limits: Limit) -> list[model.DynamicConfigValue]:
    """A column's cells in the colours of limits."""
    found: list[dict[str, float | str | None]] = [{"value": None, "color": "transparent"}]
    found += [{"value": value, "color": colour} for value, colour in limits]
    return [
        model.DynamicConfigValue(id_val="thresholds", value={"mode": "absolute", "steps": found}),
        model.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-background"}),
    ]


def status_cells() -> list[model.DynamicConfigValue]:
    """A column of statuses, each in its colour."""
    return [
        model.DynamicConfigValue(
            id_val="mappings", value=[mapping.to_json() for mapping in status_mapping()]
        ),
        model.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}),
    ]
