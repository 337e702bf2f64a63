"""What every connector promises, as tests that run over each of them through its gRPC contract.

    class TestConnectors(ConnectorConformance):
        '''Brings the fixtures `target` and `connect`.'''

Which promises are tested follows from what `Describe` declares: an undeclared capability must be refused with
NOT_SUPPORTED, a declared one must hold. A connector in another language is tested the same way.

    target.py   what a test knows of the outside system: samples, fault switches, what it holds
    writing.py  one key, one document, whatever happens on the way
    reading.py  every change after the cursor, at least once, in order, and then an end
    asking.py   questions, payloads in the vendor's shape, what is not offered
"""

from libs.common.testing.suites.connector.asking import Asking
from libs.common.testing.suites.connector.reading import Reading
from libs.common.testing.suites.connector.target import (
    ConformanceTarget,
    Connect,
    NativePayload,
    Stub,
)
from libs.common.testing.suites.connector.writing import Writing
from libs.common.testing.vendor import Fault, On, Vendor

__all__ = [
    "ConformanceTarget",
    "Connect",
    "ConnectorConformance",
    "Fault",
    "NativePayload",
    "On",
    "Stub",
    "Vendor",
]


class ConnectorConformance(Writing, Reading, Asking):
    """The whole suite."""
