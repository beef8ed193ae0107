"""Grafana's dashboards and alert rules over our tables.

`sql` has the questions, `fleet_page`, `containers_page` and `host_page` the dashboards that ask
them, `alerts` the rules. `build` turns them, with `grafana-foundation-sdk`, into the models in
`models/`: the only part that needs that package, and only where the project is developed. `render`
fills in the models: names of tables, labels, the data source. That is what `fleet dashboards` does.
"""
