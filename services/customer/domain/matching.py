"""Which customers an outside record may stand for. Open this file to change what counts as alike.

    tax number or D-U-N-S number the same      exact: the customer is linked when it is the only one
    name and address alike, from THRESHOLD on  a candidate: a steward decides

The likeness of names counts three fifths, of addresses two; where one side has no address, nine tenths of the names'
count alone. Names are compared without legal forms, words in any order. Only customers that share one of the `Keys` are
compared at all, so that an arrival costs a few look-ups, however many customers there are.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz

from libs.common.address import Address
from services.customer.domain.customer import Customer

EXACT = 100
EXACT_ON = frozenset({"number", "tax_id", "duns"})
THRESHOLD = 85
"""Of 100: the likeness from which on a person is asked."""
NAME_WEIGHT, ADDRESS_WEIGHT, NAME_ALONE = 0.6, 0.4, 0.9
NAME_KEY_LENGTH = 8
CANDIDATES_MAX = 20
IGNORED = " !\"#$%&'()*+,-./:<=>?@[\\]^_`{|}~"
"""In keys; the schema's columns ignore the same."""
PLAIN = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz", IGNORED)
LEGAL_FORMS = frozenset(
    (
        *(
            "ab",
            "ag",
            "as",
            "bv",
            "co",
            "company",
            "corp",
            "corporation",
            "gmbh",
            "inc",
            "incorporated",
            "kg",
        ),
        *("limited", "llc", "llp", "ltd", "nv", "oy", "plc", "pty", "sa", "sarl", "sas", "se", "spa", "srl"),
    )
)
WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Claimant:
    """What an outside record says of itself, as far as it tells customers apart."""

    name: str
    tax_id: str = ""
    duns: str = ""
    address: Address | None = None
    number: str = ""
    """The ERP's number that the record names."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What customers are looked up by: only who shares one of these is compared. Empty ones are shared with nobody."""

    tax_id: str
    duns: str
    name: str
    place: str

    @classmethod
    def of(cls, name: str, tax_id: str, duns: str, address: Address | None) -> "Keys":
        place = _plain(address.country_code + address.postal_code) if address and address.postal_code else ""
        return cls(_plain(tax_id), _plain(duns), _plain(name)[:NAME_KEY_LENGTH], place)

    @classmethod
    def of_customer(cls, customer: Customer) -> "Keys":
        return cls.of(customer.name, customer.tax_id, customer.duns, customer.bill_to)

    @classmethod
    def of_claimant(cls, claimant: Claimant) -> "Keys":
        return cls.of(claimant.name, claimant.tax_id, claimant.duns, claimant.address)

    def meet(self, other: "Keys") -> bool:
        """True when both share one."""
        pairs = (
            (self.tax_id, other.tax_id),
            (self.duns, other.duns),
            (self.name, other.name),
            (self.place, other.place),
        )
        return any(mine and mine == theirs for mine, theirs in pairs)


@dataclass(frozen=True, slots=True)
class Likeness:
    """A customer that an outside record may stand for."""

    customer: Customer
    score: int
    matched: tuple[str, ...]
    """What was found alike, by the contract's names of the fields; `address` is either."""

    @property
    def exact(self) -> bool:
        return not EXACT_ON.isdisjoint(self.matched)


def ranked(claimant: Claimant, customers: Iterable[Customer]) -> Sequence[Likeness]:
    """Those that are alike enough to ask, the likeliest first; of equals the oldest."""
    found = [likeness(claimant, customer) for customer in customers]
    close = [each for each in found if each.exact or each.score >= THRESHOLD]
    return sorted(close, key=lambda each: (not each.exact, -each.score, each.customer.record_id))[
        :CANDIDATES_MAX
    ]


def likeness(claimant: Claimant, customer: Customer) -> Likeness:
    """How alike the two are, 0 to 100."""
    mine, theirs = Keys.of_claimant(claimant), Keys.of_customer(customer)
    exact = [
        name
        for name, one, other in (
            ("number", claimant.number, customer.number),
            ("tax_id", mine.tax_id, theirs.tax_id),
            ("duns", mine.duns, theirs.duns),
        )
        if one and one == other
    ]
    if exact:
        return Likeness(customer, EXACT, tuple(exact))
    names = max(_names_alike(claimant.name, name) for name in (customer.name, customer.legal_name))
    places = [_places_alike(claimant.address, place) for place in (customer.bill_to, customer.ship_to)]
    known = [place for place in places if place is not None]
    if not known:
        return Likeness(customer, int(NAME_ALONE * names), ("name",) if names >= THRESHOLD else ())
    score = int(NAME_WEIGHT * names + ADDRESS_WEIGHT * max(known))
    parts = (("name", names), ("address", max(known)))
    return Likeness(customer, score, tuple(part for part, alike in parts if alike >= THRESHOLD))


def _names_alike(one: str, other: str) -> float:
    mine, theirs = _words(one), _words(other)
    return fuzz.token_sort_ratio(mine, theirs) if mine and theirs else 0.0


def _places_alike(one: Address | None, other: Address | None) -> float | None:
    """None where there is nothing to compare."""
    mine, theirs = _place(one), _place(other)
    return fuzz.token_sort_ratio(mine, theirs) if mine and theirs else None


def _place(address: Address | None) -> str:
    if address is None or not (address.lines or address.postal_code):
        return ""
    return _folded(" ".join((*address.lines, address.postal_code, address.locality)))


def _words(name: str) -> str:
    """The name's words without legal forms; with them where there is nothing else."""
    words = _folded(name).split()
    return " ".join([word for word in words if word not in LEGAL_FORMS] or words)


def _folded(text: str) -> str:
    """Small letters without accents, words apart by one blank."""
    letters = unicodedata.normalize("NFKD", text.replace("ß", "ss")).casefold()
    return " ".join(WORD.findall("".join(each for each in letters if not unicodedata.combining(each))))


def _plain(text: str) -> str:
    return text.translate(PLAIN)
