"""Personal and financial values in free text. Open this file to learn what is blanked wherever words are told.

Fields that hold such values are marked in the contracts (`masking.py`). Words are not fields: a vendor's refusal may
quote the address it did not like, a person may write a card number where a remark was asked for. What errors tell, and
through them logs, answers and the exception queue, goes through here.
"""

import re

MASK = "***"
EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])")
CARD = re.compile(r"(?<![\w.-])[2-6](?:[ -]?\d){14,18}(?!\w)")
"""15 digits and more: article numbers (EAN, GTIN) have at most 14."""
PHONE = re.compile(r"(?<![\w+])\+\d(?:[ ()/.-]{0,2}\d){8,14}(?!\w)")
IBAN_MODULUS, IBAN_REMAINDER = 97, 1
"""ISO 13616: a number that is one gives this remainder."""


def hidden(text: str) -> str:
    """The text with e-mail addresses, account, card and international phone numbers shown as `***`."""
    if "@" in text:
        text = EMAIL.sub(MASK, text)
    text = IBAN.sub(lambda found: MASK if _is_iban(found[0]) else found[0], text)
    text = CARD.sub(lambda found: MASK if _is_card(found[0]) else found[0], text)
    return PHONE.sub(MASK, text) if "+" in text else text


def _is_iban(text: str) -> bool:
    """Check digits tell an account number from an id that looks like one."""
    plain = text.replace(" ", "")
    moved = plain[4:] + plain[:4]
    return int("".join(str(int(each, 36)) for each in moved)) % IBAN_MODULUS == IBAN_REMAINDER


def _is_card(text: str) -> bool:
    """The check digit of ISO/IEC 7812, which one number in ten has by chance."""
    digits = [int(each) for each in reversed(text) if each.isdigit()]
    doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[0::2]) + doubled) % 10 == 0
