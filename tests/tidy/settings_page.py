"""Writes docs/settings.md from the settings' own docstrings: `make docs`. A test compares page and code."""

from collections.abc import Iterator, Sequence
from importlib import import_module

from libs.common.config import ProcessSettings, SettingEntry, settings_reference
from tests.tidy.tree import PRODUCT, ROOT, modules

PAGE = ROOT / "docs/settings.md"
HEAD = """\
# Settings

Processes are told everything through the environment; secrets may also come as mounted files, which are read again
when they change. Only `config` modules read them. A setting that cannot be used ends the process at start with one line
per problem, without values.

This page is written by `make docs` from the docstrings beside the settings; change it there.
"""
COMMON = """
## Every process

`OTEL_*` variables besides these are OpenTelemetry's own and mean what its documents say.
"""


def settings_classes() -> list[type[ProcessSettings]]:
    """Every settings class of ours, the common one first."""
    for module in modules(*PRODUCT):
        if module.path.endswith("/config.py"):
            import_module(module.path.removesuffix(".py").replace("/", "."))
    return [ProcessSettings, *sorted(_derived(ProcessSettings), key=lambda found: found.__module__)]


def _derived(base: type[ProcessSettings]) -> Iterator[type[ProcessSettings]]:
    for found in base.__subclasses__():
        if found.__module__.split(".")[0] in PRODUCT:
            yield found
        yield from _derived(found)


def page() -> str:
    common = settings_reference(ProcessSettings)
    known = {entry.variable for entry in common}
    parts = [HEAD, COMMON, table(common)]
    for found in settings_classes()[1:]:
        own = [entry for entry in settings_reference(found) if entry.variable not in known]
        if own:
            process = found.__module__.removesuffix(".config")
            parts += [f"\n## `python -m {process}`\n\nBesides the above:\n", table(own)]
    return "".join(parts)


def table(entries: Sequence[SettingEntry]) -> str:
    rows = [
        f"| `{entry.variable}` | {entry.kind} | {default(entry)} | {meaning(entry)} |\n" for entry in entries
    ]
    return "".join(["\n| Variable | Type | Default | Meaning |\n|---|---|---|---|\n", *rows])


def meaning(entry: SettingEntry) -> str:
    text = entry.text.replace("|", "\\|")
    return f"{text} **Secret.**" if entry.secret else text


def default(entry: SettingEntry) -> str:
    if entry.default in ("", "required"):
        return "**required**" if entry.default else ""
    return f"`{entry.default}`"


if __name__ == "__main__":
    PAGE.write_text(page())
