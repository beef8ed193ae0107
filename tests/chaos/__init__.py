"""`make chaos`: whatever dies, what `fleet` has kept is in QuestDB exactly once in the end.

```
nodes ─▶ fleet, in a process that journals its disk (disk) ─▶ relay ─▶ QuestDB
  │           │   and that a power cut may befall (power)       │         │
  served      kept                                          sent again    rows
  └───────────┴──────────────▶ count ◀──────────────────────────┴─────────┘
```

`cards` say what is done in a run and at which moment; `runs` does it.
"""
