"""Writes docs/roles.md from the contracts' method options: `make docs`. A test compares page and contracts.

Methods that admit the same roles share a row, so that the page stays one that a person reads through.
"""

from collections.abc import Mapping

from ordermesh.common.v1 import access_pb2

from libs.common.rpc.contract import Method, methods
from tests.tidy.tree import ROOT

PAGE = ROOT / "docs/roles.md"
SHOWN = tuple(
    name.removeprefix("ROLE_").lower()
    for name, number in access_pb2.Role.items()
    if number not in (access_pb2.ROLE_UNSPECIFIED, access_pb2.ROLE_MESH)
)
"""Roles that a token of somebody outside the mesh may have, in the order of the contract."""
HEAD = """\
# Roles

Who may call what. Each method of the contracts names the roles it admits
([`access.proto`](../protos/ordermesh/common/v1/access.proto)); the gateway and, again, every service hold the token
against them. A token carries its roles in the claim `roles`. Processes of the mesh (`mesh`) may call everything,
administrators (`admin`) whatever anybody outside the mesh may.

This page is written by `make docs` from the contracts; change it there.

"""


def page() -> str:
    """The whole page."""
    titles = [role.replace("_", "-") for role in SHOWN]
    lines = [f"| Methods | {' | '.join(titles)} |", f"|---|{':-:|' * len(SHOWN)}"]
    for roles, named in sorted(rows().items(), key=lambda row: (-len(row[0]), row[1])):
        marks = ["✓" if role in roles else "" for role in SHOWN]
        lines.append(f"| {', '.join(f'`{name}`' for name in named)} | {' | '.join(marks)} |")
    return HEAD + "\n".join(lines) + "\n"


def rows() -> Mapping[frozenset[str], list[str]]:
    """Roles to the methods that admit exactly these, by short name."""
    found: dict[frozenset[str], list[str]] = {}
    for method in methods().values():
        found.setdefault(method.roles & set(SHOWN), []).append(short_name(method))
    return found


def short_name(method: Method) -> str:
    """`SubmitOrder`; with its service where several have a method of the name."""
    name = method.path.rpartition("/")[2]
    alike = [other for other in methods() if other.endswith(f"/{name}")]
    return name if len(alike) == 1 else f"{method.service.rpartition('.')[2]}.{name}"


if __name__ == "__main__":
    PAGE.write_text(page())
