"""What schemathesis is told besides its configuration. Loaded by name from schemathesis.toml."""

from typing import Any

import schemathesis


def holds_null(value: object) -> bool:
    """Whether null stands anywhere in a JSON value."""
    if isinstance(value, dict):
        return any(map(holds_null, value.values()))
    if isinstance(value, list):
        return any(map(holds_null, value))
    return value is None


@schemathesis.hook
def filter_case(_context: schemathesis.HookContext, case: "schemathesis.Case[Any]") -> bool:
    """In the JSON of protocol buffers null is one more way to leave a field out, which the document does not say."""
    return not holds_null(case.body) if isinstance(case.body, dict | list) else True
