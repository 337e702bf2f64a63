"""Record ids: open this when an id is not recognised, or compared on the wrong form.

An id is 15 case-sensitive characters, the first three naming the object. The 18-character form adds three that spell
out which of the 15 are upper case, so that tools that lose the case can restore it. Compare on 18 only.
"""

import re

_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
"""Each stands for the five bits of its place: bit k is set when the k-th character of its group is upper case."""
_SHAPE = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")


def to_id18(text: str) -> str | None:
    """The 18-character form of an id; None when the text cannot be one. Lost capitals are restored."""
    if not _SHAPE.fullmatch(text):
        return None
    if len(text) == 15:
        return text + _suffix(text)
    capitals = [_DIGITS.find(digit) for digit in text[15:].upper()]
    if -1 in capitals:
        return None
    restored = "".join(
        char.upper() if capitals[place // 5] >> place % 5 & 1 else char.lower()
        for place, char in enumerate(text[:15])
    )
    suffix = _suffix(restored)
    return restored + suffix if suffix == text[15:].upper() else None


def _suffix(id15: str) -> str:
    groups = (id15[start : start + 5] for start in (0, 5, 10))
    return "".join(_DIGITS[sum(char.isupper() << k for k, char in enumerate(group))] for group in groups)
