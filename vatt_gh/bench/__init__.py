"""Repeatable measurements: python -m vatt_gh.bench NAME [--json=FILE]; --help lists them."""
