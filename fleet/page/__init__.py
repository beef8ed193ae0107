"""`fleet report`: one page of HTML about a range of time, made from what QuestDB holds.

```
span ─▶ ask (hosts, tops, series, machines, events) ─▶ facts ─▶ html (charts, parts) ─▶ one file
```

The questions are bounded, and so is the page; what is left out of it is said in words on it.
"""
