"""A postal address as services keep it. Open this file when an address has a new part."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """A place goods or invoices go to."""

    addressee: str = ""
    lines: tuple[str, ...] = ()
    locality: str = ""
    region: str = ""
    postal_code: str = ""
    country_code: str = ""
