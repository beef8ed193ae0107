"""`fleet trust`: the keys that nodes show, what is known of them, and which of them are recorded.

```
nodes ─▶ gather ─▶ Answer ─┐
known_hosts, pins ─▶ Trust ├─▶ judge ─▶ Decision ─┬─▶ book: STATE/known_hosts
--from FILE ─▶ given ──────┘                      └─▶ shown: a table, JSON, lines
```

`given`, `judge` and the text of the book are pure; a node's keys come through a function that is
handed in.
"""
