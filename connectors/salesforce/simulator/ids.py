"""New record ids: open this to see how the simulated org numbers its records."""

from __future__ import annotations

from connectors.salesforce.record_ids import checksum

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_INSTANCE_AND_RESERVED = "Sm0"
_SERIAL_DIGITS = 9


def make_id(key_prefix: str, serial: int) -> str:
    """The 18-character id of the serial-th record behind this key prefix."""
    digits = ""
    while serial:
        serial, digit = divmod(serial, 62)
        digits = _BASE62[digit] + digits
    id15 = key_prefix + _INSTANCE_AND_RESERVED + digits.rjust(_SERIAL_DIGITS, "0")
    return id15 + checksum(id15)
