"""A doorbell that rings for one target or for all, and forgets neither."""

from libs.common.durable.bell import Doorbell


def test_it_answers_for_all_at_first_and_for_those_it_has_rung_for_later() -> None:
    bell = Doorbell()
    assert bell.answer() is None

    bell.ring_for("stage:tax")
    bell.ring_for("stream")

    assert bell.is_set()
    assert bell.answer() == ["stage:tax", "stream"]
    assert not bell.is_set()
    assert bell.answer() == []


def test_a_ring_for_all_is_not_lost_in_one_for_a_target() -> None:
    bell = Doorbell()
    bell.answer()

    bell.set()
    bell.ring_for("stream")

    assert bell.answer() is None


def test_it_can_be_told_to_answer_for_all_without_ringing() -> None:
    bell = Doorbell()
    bell.answer()

    bell.ask_all()

    assert not bell.is_set()
    bell.ring_for("stream")
    assert bell.answer() is None
