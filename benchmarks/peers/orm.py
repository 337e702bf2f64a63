"""Orders as SQLAlchemy's ORM maps them: order, lines and idempotency key. Open this file to see what a peer writes."""

from decimal import Decimal

from sqlalchemy import ForeignKey, Numeric
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class BASE(DeclarativeBase):
    """The peers' tables."""


class OrderRow(BASE):
    """An order."""

    __tablename__ = "typical_order"
    id: Mapped[str] = mapped_column(primary_key=True)
    customer: Mapped[str]
    purchase_order: Mapped[str]
    currency: Mapped[str]
    total: Mapped[Decimal] = mapped_column(Numeric(20, 9))
    state: Mapped[str]
    lines: Mapped[list["LineRow"]] = relationship()


class LineRow(BASE):
    """One position of an order."""

    __tablename__ = "typical_order_line"
    order_id: Mapped[str] = mapped_column(ForeignKey("typical_order.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str]
    quantity: Mapped[Decimal] = mapped_column(Numeric(20, 6))
    unit: Mapped[str]
    price: Mapped[Decimal] = mapped_column(Numeric(20, 9))
    tax_code: Mapped[str]


class IdempotencyRow(BASE):
    """A key that was answered."""

    __tablename__ = "typical_idempotency"
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    order_id: Mapped[str]
