"""The checks of tools/lint, one module each: check(tree) yields findings."""
