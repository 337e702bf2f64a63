"""Nothing in the repository names the machine it was written on or the place packages come from."""

import re

from tests.tidy.tree import files, name_of, report

PACKAGE_HOSTS = (
    "pypi" + ".org",
    "pythonhosted" + ".org",
    "npmjs" + ".org",
    "npmjs" + ".com",
    "crates" + ".io",
)
LOCKS = frozenset({"uv.lock"})
MACHINE_PATH = re.compile(r"(?<![\w./$~{}])/(?:home|Users|root|work|mnt)/[\w.-]+")
TEXT = (
    ".py",
    ".proto",
    ".md",
    ".toml",
    ".yaml",
    ".yml",
    ".json",
    ".svg",
    ".sql",
    ".ini",
    ".cfg",
    ".mako",
    "",
)


def places(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name_of(path)}:{number} {found[0]}"
        for path in files(*TEXT)
        if path.name not in LOCKS
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if (found := pattern.search(line))
    ]


def test_no_package_index_is_named_outside_the_lock_file() -> None:
    found = places(re.compile("|".join(map(re.escape, PACKAGE_HOSTS))))
    assert not found, report("Leave the choice of the package index to the machine's own settings", found)


def test_no_path_of_a_machine_is_named() -> None:
    found = places(MACHINE_PATH)
    assert not found, report("Use a path from the repository's root or a setting", found)
