"""Commands that have a module of their own; `fleet.cli` gathers them."""
