"""How long a vendor wants to be left alone. Open this file when a `Retry-After` was read wrongly."""

from datetime import timedelta
from email.utils import parsedate_to_datetime

PAUSE_MAX = timedelta(days=7)
"""What is asked for beyond this is cut here; who heeds it cuts it further (`LanePolicy`, `SharedBudget`)."""
DIGITS_MAX = 9


def retry_after(value: str | None, date: str | None) -> timedelta | None:
    """Seconds, or an HTTP date counted from the answer's own `Date`, so that no two clocks are compared.

    None for anything else: absent, garbage, the past, a date without a `Date` beside it. Never negative, never more
    than `PAUSE_MAX`, whatever the header holds.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=int(text.lstrip("0")[:DIGITS_MAX] or "0")), PAUSE_MAX)
    try:
        wait = parsedate_to_datetime(text) - parsedate_to_datetime(date or "")
    except (TypeError, ValueError, OverflowError):
        return None
    return min(wait, PAUSE_MAX) if wait > timedelta(0) else None
