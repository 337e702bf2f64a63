"""Versions of a mapping. Open this file to learn which one runs, and what becomes of a pin that is not kept."""

from collections.abc import Mapping
from typing import TypeVar

from libs.common.errors import Refused

T = TypeVar("T")


def pick(versions: Mapping[str, T], pinned: str) -> tuple[str, T]:
    """The pinned version of a mapping, or the current one, which is the last. Refused with MAPPING_NOT_KEPT."""
    name = pinned or list(versions)[-1]
    if name not in versions:
        raise Refused(
            "MAPPING_NOT_KEPT", f"{name} is not among {', '.join(versions)}", metadata={"mapping": name}
        )
    return name, versions[name]
