"""Record ids: open this when an id looks wrong (15 against 18 characters, checksum).

An id is 15 case-sensitive base62 characters, the first three naming the object. The 18-character form adds three that
spell out which letters are upper case, so that tools that lose the case can restore it. Compare on 18 only.
"""

import re

_CHECK_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_ID_SHAPE = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")


def checksum(id15: str) -> str:
    """The three characters that follow a 15-character id.

    Each group of five characters gives one: bit k (first character = bit 0) is set where the character is A to Z.
    Checked against published ids in the unit tests.
    """
    suffix = ""
    for start in (0, 5, 10):
        bits = sum(1 << k for k, char in enumerate(id15[start : start + 5]) if "A" <= char <= "Z")
        suffix += _CHECK_ALPHABET[bits]
    return suffix


def to_id18(text: str) -> str | None:
    """The 18-character form of an id given with 15 or 18 characters; None when the text cannot be an id.

    An 18-character id with its case lost (spreadsheets do that) is restored from its checksum, as Salesforce does.
    """
    if not _ID_SHAPE.fullmatch(text):
        return None
    if len(text) == 15:
        return text + checksum(text)
    return _restore_case(text)


def _restore_case(id18: str) -> str | None:
    body, suffix = id18[:15], id18[15:].upper()
    restored = ""
    for group, letter in enumerate(suffix):
        bits = _CHECK_ALPHABET.find(letter)
        if bits < 0:
            return None
        for k, char in enumerate(body[group * 5 : group * 5 + 5]):
            restored += char.upper() if bits >> k & 1 else char.lower()
    return restored + suffix if checksum(restored) == suffix else None
