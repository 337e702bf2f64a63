"""The answer to a submission, read and written as JSON. Open this file when an accepted order is shown otherwise than
the service told it.

What the caller sent stands in the answer once more, in most cases unchanged. It has been read and written as JSON
before, so where the bytes of the answer prove that nothing of it was changed, only what is new is read and written:
lines are most of an order, and each costs more than everything that is new.
"""

from jsonpb.ordermesh.order.v1.order_pb import Order
from jsonpb.ordermesh.order.v1.order_service_pb import SubmitOrderResponse
from ordermesh.order.v1 import order_service_pb2

from gateway.transcode import render
from libs.common.value import value
from libs.common.wire import message_field

ORDER = order_service_pb2.SubmitOrderResponse.ORDER_FIELD_NUMBER
_ID_BEGIN = b"\x0a\x1e"
_ID_FIELD_BYTES = 32
"""Of `order_id`, field 1 of an answer and of its order: a tag, the length 30, and an id."""
_ORDER = b'"order":{'
"""Its first occurrence is the field: before it stand texts only, in which a quote is escaped."""


@value()
class Stated:
    """An order as its caller stated it."""

    content: bytes
    json: str


class Acceptance:
    """An answer, with what the caller stated left out of its order where that may be."""

    def __init__(self, content: bytes, stated: Stated | None = None) -> None:
        """content: a SubmitOrderResponse. stated: None reads all of it."""
        news = _news(content, stated.content) if stated is not None else None
        self._repeated = stated if news is not None else None
        self.message = SubmitOrderResponse.from_binary(content) if news is None else news

    def replace_order(self, order: Order | None) -> None:
        """order: complete; None leaves it out."""
        self.message.order = order
        self._repeated = None

    def render(self) -> bytes:
        """The whole answer as JSON."""
        text = render(self.message)
        if self._repeated is None:
            return text
        before, name, after = text.partition(_ORDER)
        return b"%b%b%b,%b" % (before, name, self._repeated.json[1:-1].encode(), after)


def _news(content: bytes, stated: bytes) -> SubmitOrderResponse | None:
    """The answer without what was stated. None unless the answer ends with its order, and that is the id of the answer,
    what was stated, and what else there is.

    Fields of an order are written by their numbers. So what else there is has only fields that were not stated, or goes
    on with the last of these if that is a list, which can be the lines.
    """
    begin = content.find(stated) - _ID_FIELD_BYTES
    id_field = content[:_ID_FIELD_BYTES]
    if begin < 0 or not id_field.startswith(_ID_BEGIN) or not content.startswith(id_field, begin):
        return None
    order_field = message_field(ORDER, content[begin:])
    if not content.endswith(order_field):
        return None
    rest = content[begin + _ID_FIELD_BYTES + len(stated) :]
    news = SubmitOrderResponse.from_binary(
        content[: -len(order_field)] + message_field(ORDER, id_field + rest)
    )
    return None if news.order is None or news.order.lines else news
