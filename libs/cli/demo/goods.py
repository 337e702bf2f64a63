"""Companies, products and orders, drawn from a seed. Open it to change what the demo trades in.

Pure: the same seed and count give the same goods. Prices are exact: quantities and prices are chosen so that
every line amount fits the currency.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

LINES_MAX = 12
QUANTITY_MAX = 24
CREDIT_LIMIT = Decimal(50_000_000)
STOCK = Decimal(1_000_000)

CURRENCIES = ("USD", "EUR", "GBP")
RATES = {"USD": Decimal("1.00"), "EUR": Decimal("0.92"), "GBP": Decimal("0.80")}
TAX_RATES = {
    "USD": ("US-EXEMPT", Decimal(0)),
    "EUR": ("DE-VAT-19", Decimal(19)),
    "GBP": ("GB-VAT-20", Decimal(20)),
}
UNKNOWN_TAX_CODE = "XX-VAT-99"
"""No ERP knows it; one order of the demo carries it."""

_PLACES = {
    "USD": (
        ("Portland", "OR", "97205", "US"),
        ("Austin", "TX", "78701", "US"),
        ("Chicago", "IL", "60601", "US"),
    ),
    "EUR": (("Hamburg", "", "20457", "DE"), ("Leipzig", "", "04109", "DE"), ("Utrecht", "", "3511 LX", "NL")),
    "GBP": (
        ("Leeds", "", "LS1 4AP", "GB"),
        ("Bristol", "", "BS1 6QF", "GB"),
        ("Glasgow", "", "G2 1DY", "GB"),
    ),
}
_NAMES = (
    "Alder", "Beacon", "Cobalt", "Drift", "Ember", "Fjord", "Granite", "Harbour", "Ivory", "Juniper", "Kestrel",
    "Lantern", "Meadow", "Northgate", "Orchard", "Pinnacle", "Quarry", "Rowan", "Summit", "Tidewater",
)  # fmt: skip
_TRADES = {
    "USD": ("Supply Inc", "Outfitters LLC", "Works Inc"),
    "EUR": ("Handels GmbH", "Technik GmbH", "Bau GmbH"),
    "GBP": ("Trading Ltd", "Engineering Ltd", "Stores Ltd"),
}
_STREETS = ("Harbour Street", "Mill Lane", "Station Road", "Foundry Way", "Market Square")
_KINDS = (
    ("Hex bolt", "FAS", ("M6", "M8", "M10", "M12", "M16")),
    ("Ball bearing", "BRG", ("608", "6001", "6202", "6204", "6305")),
    ("Hydraulic hose", "HYD", ("3/8 in", "1/2 in", "5/8 in", "3/4 in", "1 in")),
    ("Cable gland", "ELC", ("PG7", "PG9", "PG11", "PG13", "PG16")),
    ("Safety glove", "PPE", ("S", "M", "L", "XL", "XXL")),
    ("Linear rail", "LIN", ("300 mm", "500 mm", "800 mm", "1,000 mm", "1,500 mm")),
)
_GRADES = ("standard", "stainless", "galvanised")


@dataclass(frozen=True, slots=True)
class Company:
    """A customer, known to the ERP and the sales system by `key`."""

    key: str
    name: str
    currency: str
    street: str
    city: str
    region: str
    postal_code: str
    country: str
    email: str


@dataclass(frozen=True, slots=True)
class Article:
    """A product, with its price in each currency."""

    sku: str
    name: str
    unit: str
    prices: dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class Line:
    """One position of an order."""

    article: Article
    quantity: Decimal
    unit_price: Decimal
    tax_code: str

    @property
    def amount(self) -> Decimal:
        return self.quantity * self.unit_price


@dataclass(frozen=True, slots=True)
class DraftOrder:
    """An order before it is handed in."""

    number: int
    """From 1."""
    company: Company
    purchase_order: str
    lines: tuple[Line, ...]

    @property
    def total(self) -> Decimal:
        return sum((line.amount for line in self.lines), Decimal(0))

    @property
    def native(self) -> bool:
        """Handed in as Salesforce would send it; the other half is canonical."""
        return self.number % 2 == 0


@dataclass(frozen=True, slots=True)
class Goods:
    """Everything the demo trades in."""

    companies: Sequence[Company]
    articles: Sequence[Article]
    orders: Sequence[DraftOrder]
    refused: DraftOrder
    """One of `orders`: its first line carries the tax code that the ERP refuses."""


def draw_goods(seed: int, orders: int, tag: str = "", companies: int = 60, articles: int = 90) -> Goods:
    """At most 180 companies and 90 articles; all distinct. tag: in every purchase order number."""
    draws = random.Random(seed)  # noqa: S311 - plausible data, no secrets
    buyers = [_company(number, draws) for number in range(1, companies + 1)]
    catalogue = [_article(number, draws) for number in range(articles)]
    bad = orders // 2 + 1 - (orders // 2) % 2  # odd: handed in canonically
    drafts = [
        _order(number, draws, buyers, catalogue, tag or str(seed), refused=number == min(bad, orders))
        for number in range(1, orders + 1)
    ]
    return Goods(buyers, catalogue, drafts, drafts[min(bad, orders) - 1])


def _company(number: int, draws: random.Random) -> Company:
    currency = CURRENCIES[number % len(CURRENCIES)]
    round_trip, name_at = divmod(number - 1, len(_NAMES))
    city, region, postal_code, country = draws.choice(_PLACES[currency])
    name = f"{_NAMES[name_at]} {_TRADES[currency][round_trip % len(_TRADES[currency])]} {city}"
    return Company(
        key=f"CUST-{number:04d}",
        name=name,
        currency=currency,
        street=f"{draws.randint(1, 180)} {draws.choice(_STREETS)}",
        city=city,
        region=region,
        postal_code=postal_code,
        country=country,
        email=f"accounts@{_NAMES[name_at].lower()}-{number}.example",
    )


def _article(number: int, draws: random.Random) -> Article:
    kind_at, rest = divmod(number, len(_GRADES) * 5)
    grade_at, size_at = divmod(rest, 5)
    kind, code, sizes = _KINDS[kind_at % len(_KINDS)]
    # Even cents, so that a discount and a currency's rate leave whole cents to round to.
    price = Decimal(draws.randint(60, 24_000)) * 2 / 100
    return Article(
        sku=f"{code}-{size_at + 1}{grade_at + 1}-{1000 + number}",
        name=f"{kind} {sizes[size_at]}, {_GRADES[grade_at]}",
        unit="EA",
        prices={currency: _cents(price * rate) for currency, rate in RATES.items()},
    )


def _order(
    number: int,
    draws: random.Random,
    companies: Sequence[Company],
    articles: Sequence[Article],
    tag: str,
    *,
    refused: bool,
) -> DraftOrder:
    company = draws.choice(companies)
    chosen = draws.sample(articles, draws.randint(1, LINES_MAX))
    tax_code = TAX_RATES[company.currency][0]
    lines = []
    for place, article in enumerate(chosen):
        discount = draws.choice((Decimal(1), Decimal(1), Decimal("0.95"), Decimal("0.90")))
        lines.append(
            Line(
                article,
                Decimal(draws.randint(1, QUANTITY_MAX)),
                _cents(article.prices[company.currency] * discount),
                UNKNOWN_TAX_CODE if refused and place == 0 else tax_code,
            )
        )
    return DraftOrder(number, company, f"PO-{tag}-{number:05d}", tuple(lines))


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"))
