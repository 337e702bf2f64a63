"""What a caller prefers (RFC 7240). Open this file to learn which preferences are honoured.

Prefer: wait=10            wait up to 10 s, at most 30, for news of the order
Prefer: respond-async      do not wait; the default for a submission
Prefer: return=minimal     leave the resource out of the answer to a write
"""

import re
from dataclasses import dataclass

WAIT_SECONDS_MAX = 30
PREFER_CHARACTERS_MAX = 1000
_PREFERENCE = re.compile(r'\s*([A-Za-z-]+)\s*(?:=\s*"?([^",;\s]*)"?)?\s*(?:;[^,]*)?')


@dataclass(frozen=True, slots=True)
class Preferences:
    """Those that were understood; unknown ones are ignored, as the RFC wants it."""

    wait_seconds: int = 0
    """0 = not asked for."""
    respond_async: bool = False
    minimal: bool = False

    @classmethod
    def parse(cls, header: str) -> "Preferences":
        """The first of repeated preferences counts. Never refuses."""
        if not header or len(header) > PREFER_CHARACTERS_MAX:
            return NONE
        stated: dict[str, str] = {}
        for part in header.split(","):
            match = _PREFERENCE.fullmatch(part)
            if match is not None:
                stated.setdefault(match[1].lower(), (match[2] or "").lower())
        wait = stated.get("wait", "")
        return cls(
            wait_seconds=min(int(wait[:9]), WAIT_SECONDS_MAX) if wait.isascii() and wait.isdigit() else 0,
            respond_async="respond-async" in stated,
            minimal=stated.get("return") == "minimal",
        )


NONE = Preferences()


def applied(*preferences: str) -> tuple[tuple[bytes, bytes], ...]:
    """Header `Preference-Applied`, absent when nothing was applied."""
    stated = ", ".join(preference for preference in preferences if preference)
    return ((b"preference-applied", stated.encode()),) if stated else ()
