"""Messages to domain and back, pure.

requests.py   what callers ask     answers.py    how orders are shown
events.py     what is told         questions.py  what the ERP is asked
"""

from services.order.wire.answers import (
    render_approved_order,
    render_cancelled_order,
    render_corrected_order,
    render_held_order,
    render_order,
    render_released_order,
    render_submitted_order,
    submitted_order,
)
from services.order.wire.events import (
    OWNERSHIP,
    invoiced_order,
    known_customer,
    known_product,
    order_invoice,
    order_of_event,
    parse_progress,
    render_change,
    render_event,
)
from services.order.wire.questions import (
    availability_answer,
    availability_question,
    credit_answer,
    credit_question,
    order_answer,
    order_questions,
    tax_answer,
    tax_question,
)
from services.order.wire.requests import parse_correct_order, parse_decision, parse_submit_order

__all__ = [
    "OWNERSHIP",
    "availability_answer",
    "availability_question",
    "credit_answer",
    "credit_question",
    "invoiced_order",
    "known_customer",
    "known_product",
    "order_answer",
    "order_invoice",
    "order_of_event",
    "order_questions",
    "parse_correct_order",
    "parse_decision",
    "parse_progress",
    "parse_submit_order",
    "render_approved_order",
    "render_cancelled_order",
    "render_change",
    "render_corrected_order",
    "render_event",
    "render_held_order",
    "render_order",
    "render_released_order",
    "render_submitted_order",
    "submitted_order",
    "tax_answer",
    "tax_question",
]
