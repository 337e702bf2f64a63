"""Writes docs/ownership.md from the contracts: `make docs`. A test compares page and contracts."""

from libs.common.ownership_matrix import Entry, Matrix, matrices
from tests.tidy.tree import ROOT

PAGE = ROOT / "docs/ownership.md"
HEAD = """\
# Who owns which field

Each field of a record has one owner: the ERP, the CRM, or ordermesh itself (`MESH`). Its value counts. *May change*
names the systems whose values are taken, the owner first; a call by somebody who is no outside system counts as `MESH`.
*Others* is what happens to a write by anybody else, be it a request or a change read from a system's feed:

- **refuse**: the whole write is refused with `OWNERSHIP_VIOLATION`, the field, its owner and the rule.
- **drop**: the field stays as it is; the audit has a row with the value that was not taken, its source and the rule. A
  system whose feed showed the value is told the record as it is.
- **propose**: the field stays as it is, with a row in the audit, and the value waits in the exception queue
  (`CHANGE_PROPOSED`) for a steward. `:accept` sends it to the owner, and the record has it once the owner's feed brings
  it back; `:reject` tells the system that wanted it the record as it is.

When a system and the owner change a field at the same time, the owner's value wins and the audit names the other
(`ownership.owner_wins`). What a system shows because it was told so is no change and causes no write.

*Read every* is the longest planned time between two readings of the owner's changes.

The page is written by `make docs` from the contracts in `protos/ordermesh`; `GET /v1/ownership` answers the same. A
changed owner, updater or policy makes `make check` fail until the page is written again.
"""


def page() -> str:
    return HEAD + "".join(_section(matrix) for matrix in matrices())


def _section(matrix: Matrix) -> str:
    seconds = int(matrix.sync_cadence.total_seconds())
    head = f"\n## {matrix.resource}\n\nSystem of record: {matrix.owner.upper()}. Read every {seconds} s.\n\n"
    table = "| Field | Owner | May change | Others |\n|---|---|---|---|\n"
    return head + table + "".join(_row(entry) for entry in matrix.entries)


def _row(entry: Entry) -> str:
    updaters = ", ".join(updater.upper() for updater in entry.updaters)
    return f"| `{entry.path}` | {entry.owner.upper()} | {updaters} | {entry.policy} |\n"


if __name__ == "__main__":
    PAGE.write_text(page())
