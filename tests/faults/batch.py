"""Orders that are handed in together."""

from collections.abc import Sequence

from libs.cli.demo.submission import Parcel, Tally


class Batch:
    """Orders that belong to one trial. parcels: the requests that hand them in."""

    def __init__(self, parcels: Sequence[Parcel]) -> None:
        self.parcels = parcels
        self.tally = Tally()

    @property
    def order_ids(self) -> list[str]:
        return [accepted.order_id for accepted in self.tally.accepted]
