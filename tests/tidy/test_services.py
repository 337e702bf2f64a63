"""The four services look alike, file by file, so that who knows one knows all."""

import pytest

from tests.tidy.tree import ROOT, report

SERVICES = ("customer", "order", "product", "invoice")
MODULES = (
    "__main__",
    "app",
    "config",
    "servicer",
    "wire",
    "store",
    "reactions",
    "commands",
    "queries",
    "domain",
)
BESIDES = frozenset({"__init__.py", "README.md", "migrations", "__pycache__"})


def skip_until_written(service: str) -> None:
    if not (ROOT / "services" / service / "__main__.py").exists():
        pytest.skip(f"services/{service} is not written yet")


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_the_ten_modules_and_its_papers(service: str) -> None:
    skip_until_written(service)
    folder = ROOT / "services" / service
    missing = [name for name in MODULES if not is_module(service, name)]
    missing += [name for name in ("migrations", "README.md") if not (folder / name).exists()]
    assert not missing, report(f"services/{service} lacks what the other services have", missing)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_nothing_of_its_own_beside_them(service: str) -> None:
    skip_until_written(service)
    extra = [
        entry.name
        for entry in sorted((ROOT / "services" / service).iterdir())
        if entry.name.removesuffix(".py") not in MODULES and entry.name not in BESIDES
    ]
    assert not extra, report(
        f"Move these of services/{service} into one of the ten modules, or into all services", extra
    )


def is_module(service: str, name: str) -> bool:
    """A module that has grown is a package of the same name."""
    folder = ROOT / "services" / service
    return (folder / f"{name}.py").is_file() or (folder / name / "__init__.py").is_file()


def test_there_is_no_service_that_nobody_knows() -> None:
    known = {*SERVICES, "__init__.py", "__pycache__"}
    extra = [entry.name for entry in sorted((ROOT / "services").iterdir()) if entry.name not in known]
    assert not extra, report("Name it in SERVICES, pyproject.toml and k8s/base, or move it away", extra)
