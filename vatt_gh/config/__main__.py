"""Prints docs/configuration.md."""

from vatt_gh.config.document import to_markdown

if __name__ == "__main__":
    print(to_markdown(), end="")
