"""Record ids of the simulated org: open this when an id looks wrong (15 against 18 characters, prefix, checksum).

An id is 15 case-sensitive base62 characters: 3 key prefix, 2 instance, 1 reserved, 9 serial. The 18-character form
adds three that spell out which letters are upper case. The connector has its own reading of the same rule, so that
a mistake in one does not hide a mistake in the other; both are held against published ids.
"""

from __future__ import annotations

import re

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECK_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_INSTANCE_AND_RESERVED = "Sm0"
_SERIAL_DIGITS = 9
_ID_SHAPE = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")


def make_id(key_prefix: str, serial: int) -> str:
    """The 18-character id of the serial-th record behind this key prefix."""
    digits = ""
    while serial:
        serial, digit = divmod(serial, 62)
        digits = _BASE62[digit] + digits
    id15 = key_prefix + _INSTANCE_AND_RESERVED + digits.rjust(_SERIAL_DIGITS, "0")
    return id15 + checksum(id15)


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
