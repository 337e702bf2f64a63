"""What the contract marks as sensitive is not seen, however deep it lies."""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message
from ordermesh.common.v1 import address_pb2
from ordermesh.connector.v1 import change_pb2
from ordermesh.order.v1 import order_pb2

from libs.common.masking import MASK, masked, masked_json

SECRET = "4711-secret"


def an_address() -> address_pb2.Address:
    return address_pb2.Address(addressee=SECRET, lines=[SECRET, SECRET], country_code="DE")


def test_marked_texts_show_as_masked_and_the_rest_stays() -> None:
    shown = masked(an_address())

    assert isinstance(shown, address_pb2.Address)
    assert (shown.addressee, list(shown.lines), shown.country_code) == (MASK, [MASK], "DE")


def test_the_message_itself_is_left_alone() -> None:
    address = an_address()

    masked(address)

    assert address == an_address()


def test_nothing_sensitive_is_left_in_a_whole_change() -> None:
    order = order_pb2.Order(order_id="ord_1", ship_to=an_address())
    change = change_pb2.Change(key="ord_1", order=order, reference_ids={"cus_1": "110"})

    text = masked_json(change)

    assert SECRET not in text
    assert '"ord_1"' in text
    assert '"110"' in text


def _a_message_type() -> type[Message]:
    """Every shape a marked field can have: single, repeated, number, message, and inside a map."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="masking_test.proto", package="masking_test", syntax="proto3"
    )
    leaf = file.message_type.add(name="Leaf")
    text = leaf.field.add(name="text", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    text.options.debug_redact = True
    number = leaf.field.add(name="number", number=2, type=field.TYPE_INT64, label=field.LABEL_OPTIONAL)
    number.options.debug_redact = True
    leaf.field.add(name="open", number=3, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    tree = file.message_type.add(name="Tree")
    entry = tree.nested_type.add(name="ByNameEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    entry.field.add(
        name="value",
        number=2,
        type=field.TYPE_MESSAGE,
        type_name=".masking_test.Leaf",
        label=field.LABEL_OPTIONAL,
    )
    for index, name in enumerate(("leaves", "hidden"), 1):
        added = tree.field.add(
            name=name,
            number=index,
            type=field.TYPE_MESSAGE,
            type_name=".masking_test.Leaf",
            label=field.LABEL_REPEATED,
        )
        added.options.debug_redact = name == "hidden"
    tree.field.add(
        name="by_name",
        number=3,
        type=field.TYPE_MESSAGE,
        type_name=".masking_test.Tree.ByNameEntry",
        label=field.LABEL_REPEATED,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("masking_test.Tree"))


def test_every_shape_of_field_is_masked() -> None:
    tree_type = _a_message_type()
    tree = tree_type()
    leaf = {"text": SECRET, "number": 4711, "open": "seen"}
    tree.leaves.add(**leaf)  # type: ignore[attr-defined]
    tree.hidden.add(**leaf)  # type: ignore[attr-defined]
    tree.by_name["a"].text = SECRET  # type: ignore[attr-defined]
    tree.by_name["a"].open = "seen"  # type: ignore[attr-defined]

    text = masked_json(tree)

    assert "4711" not in text
    assert text.count("seen") == 2
    assert "hidden" not in text
