"""What the documents say can be done, can be done: links lead somewhere, commands and settings exist."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from libs.cli.__main__ import build
from libs.common import metrics
from libs.common.config import settings_reference
from libs.common.metrics.declaring import CATALOGUE, Metric
from libs.common.rpc import contract
from libs.common.topology import SERVICES
from tests.tidy import metrics_page, ownership_page, roles_page, settings_page
from tests.tidy.contracts import methods
from tests.tidy.tree import PRODUCT, ROOT, files, modules, name_of, report

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
SHELL = frozenset({"sh", "bash", "shell", "console"})
TARGET = re.compile(r"^([a-z0-9]+):", re.MULTILINE)
SETTING = re.compile(r"\bORDERMESH_[A-Z0-9_]+\b")
METRIC = re.compile(r"\b(?:ordermesh|http_server|http_client|rpc_server|rpc_client)_[a-z_]+[a-z]\b(?!_)")
TESTS_OWN = frozenset({"ORDERMESH_FUZZ_EXAMPLES"})
GATEWAY_OWN = (
    "/health/live",
    "/health/ready",
    "/openapi.json",
    "/openapi-3.0.json",
    "/v1/systems",
    "/v1/ownership",
)
"""Paths that the gateway serves besides the contracts' routes."""


def documents() -> list[Path]:
    return list(files(".md"))


def shell_lines() -> Iterator[tuple[str, str]]:
    """Each command line of each shell block, continued lines joined, with its document."""
    for path in documents():
        for language, block in FENCE.findall(path.read_text()):
            if language in SHELL:
                for line in block.replace("\\\n", " ").splitlines():
                    if command := line.strip().removeprefix("$ "):
                        yield name_of(path), command


def anchors(path: Path) -> set[str]:
    """Anchors of the headings, as forges make them."""
    headings = re.findall(r"^#{1,6} (.+)$", FENCE.sub("", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_no_link_between_documents_is_dead() -> None:
    dead = []
    for path in documents():
        for target in LINK.findall(FENCE.sub("", path.read_text())):
            if target.startswith(("http://", "https://", "mailto:")):
                continue
            name, _, anchor = target.partition("#")
            there = (path.parent / name).resolve() if name else path
            if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors(there)):
                dead.append(f"{name_of(path)}: {target}")
    assert not dead, report("Mend these links", dead)


def test_every_make_target_that_documents_name_exists() -> None:
    targets = set(TARGET.findall((ROOT / "Makefile").read_text()))
    named = [
        (name_of(path), word)
        for path in documents()
        for word in re.findall(r"`make ([a-z0-9]+)", path.read_text())
    ]
    named += [
        (name, word)
        for name, line in shell_lines()
        for word in re.findall(r"(?:^|&& )make ([a-z0-9]+)", line)
    ]
    unknown = sorted({f"{name}: make {word}" for name, word in named if word not in targets})
    assert not unknown, report("Add the target to the Makefile or mend the document", unknown)


def test_every_command_that_documents_type_exists() -> None:
    spans = [
        (name_of(path), span)
        for path in documents()
        for span in SPAN.findall(FENCE.sub("", path.read_text()))
    ]
    unknown = [
        f"{name}: {line}"
        for name, line in [*shell_lines(), *spans]
        for typed in re.findall(r"(?:^|[|;&(]\s*)(?:\.venv/bin/)?ordermesh ([^|;&)]*)", line)
        if not is_command(typed.split())
    ]
    assert not unknown, report("The `ordermesh` command has no such subcommand or option", unknown)


def is_command(words: list[str]) -> bool:
    """Whether subcommands and options exist; arguments and options' values are not looked at."""
    command = typer.main.get_command(build())
    while isinstance(command, TyperGroup) and words and not words[0].startswith("-"):
        found = command.commands.get(words[0])
        if found is None:
            return False
        command, words = found, words[1:]
    known = {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    return all(
        word.partition("=")[0] in known for word in words if word.startswith("--") and word != "--help"
    )


def test_every_module_that_documents_run_exists() -> None:
    unknown = []
    for path in documents():
        for dotted in re.findall(
            r"python -m ((?:services|connectors|gateway|libs|benchmarks)[\w.]*)", path.read_text()
        ):
            place = ROOT / dotted.rstrip(".").replace(".", "/")
            if not (place.with_suffix(".py").exists() or (place / "__main__.py").exists()):
                unknown.append(f"{name_of(path)}: python -m {dotted}")
    assert not unknown, report("There is no such module", sorted(set(unknown)))


def test_every_path_that_documents_call_is_served() -> None:
    routes = [
        re.compile(re.sub(r"\\{\\}", "[^/]+", re.escape(path))) for m in methods() for _, path in m.routes
    ]
    unknown = []
    for name, line in shell_lines():
        for path in re.findall(r"https?://[^/\s'\"]+(/[^\s'\"?]*)", line):
            own = path.startswith(GATEWAY_OWN) or path.startswith("/_sim/")
            if "curl" in line and not own and not any(route.fullmatch(path) for route in routes):
                unknown.append(f"{name}: {path}")
    assert not unknown, report("No method has this path", unknown)


def test_the_page_of_settings_is_what_the_code_says() -> None:
    assert settings_page.PAGE.read_text() == settings_page.page(), (
        "Run `make docs` and look at docs/settings.md"
    )


def test_the_page_of_metrics_is_what_the_code_declares() -> None:
    assert metrics_page.PAGE.read_text() == metrics_page.page(), "Run `make docs` and look at docs/metrics.md"


def test_every_metric_that_is_named_exists() -> None:
    known = {metric.name for metric in CATALOGUE}
    unknown = [
        f"{name}: {found}"
        for name in ("docs/metrics.md", "docs/runbook.md", "k8s/README.md")
        for found in sorted(set(METRIC.findall((ROOT / name).read_text())))
        if found not in known and re.sub(r"_(bucket|sum|count)$", "", found) not in known
    ]
    assert not unknown, report("No process tells this metric", unknown)


def test_every_metric_that_is_declared_is_told_somewhere() -> None:
    told = "".join(
        module.text for module in modules(*PRODUCT) if module.path != "libs/common/metrics/__init__.py"
    )
    names = [name for name, value in vars(metrics).items() if isinstance(value, Metric)]
    silent = [name for name in names if not re.search(rf"\b{name}\.(?:at|clear)\(|\({name}, ", told)]
    assert not silent, report("Set or count it, or take it out of libs/common/metrics", silent)


def test_the_page_of_ownership_is_what_the_contracts_say() -> None:
    assert ownership_page.PAGE.read_text() == ownership_page.page(), (
        "An owner, updater or policy has changed: run `make docs` and look at docs/ownership.md"
    )


def test_the_page_of_roles_is_what_the_contracts_say() -> None:
    assert roles_page.PAGE.read_text() == roles_page.page(), "Run `make docs` and look at docs/roles.md"


def test_every_method_has_one_place_on_the_page_of_roles() -> None:
    rows = [line for line in roles_page.PAGE.read_text().splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`(\w+(?:\.\w+)?)`", row)]
    assert sorted(named) == sorted(map(roles_page.short_name, contract.methods().values()))


@pytest.mark.parametrize("service", SERVICES)
def test_filters_of_lists_are_documented(service: str) -> None:
    fields = import_module(f"services.{service}.queries").FILTER
    row = f"| `/v1/{service}s` | {', '.join(f'`{name}`' for name in fields)} |"
    assert row in (ROOT / "docs/rest.md").read_text(), f"docs/rest.md lacks the row: {row}"


def test_every_setting_that_is_named_exists() -> None:
    known = set(SETTING.findall(settings_page.page())) | TESTS_OWN
    unknown = [
        f"{name_of(path)}: {setting}"
        for path in files(".md", ".yaml", ".yml")
        for setting in sorted(set(SETTING.findall(path.read_text())) - known)
        if not setting.endswith("_")
    ]
    assert not unknown, report("No process reads this setting", unknown)


def test_every_setting_says_what_it_means() -> None:
    silent = [
        f"{found.__module__}: {entry.variable}"
        for found in settings_page.settings_classes()
        for entry in settings_reference(found)
        if not entry.text
    ]
    assert not silent, report("Write a docstring below the field", silent)
