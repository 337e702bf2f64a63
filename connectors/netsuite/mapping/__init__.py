"""Between NetSuite's vocabulary and the canonical one; open the module of a record for its rules.

All functions here are pure. A mapping has a name and a version that is stored with every attempt, such as
`netsuite.sales_order@1`. When what a mapping writes changes, the new function gets the next version and the old one
stays in its table for replays that pin it.
"""

from collections.abc import Mapping
from typing import TypeVar

from libs.common.errors import Refused

T = TypeVar("T")


def pick(versions: Mapping[str, T], pinned: str) -> tuple[str, T]:
    """The pinned version of a mapping, or the current one. Refused with MAPPING_FAILED for one that is not kept."""
    name = pinned or list(versions)[-1]
    if name not in versions:
        raise Refused("MAPPING_FAILED", f"there is no mapping {name}", metadata={"mapping": name})
    return name, versions[name]
