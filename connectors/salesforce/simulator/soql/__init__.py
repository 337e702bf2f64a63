"""SOQL, as far as the simulated org understands it: open this when a query is misread or answers the wrong records.

`lexer.py` cuts the text into tokens, `parser.py` builds the tree of `syntax.py`, `conditions.py` decides whether a
record matches, `run.py` finds, sorts, groups and shapes the result.

Understood: SELECT of fields, parent fields, child sub-queries, COUNT(), aggregates and FIELDS(…); WHERE with AND, OR,
NOT, = != <> < <= > >= LIKE, IN and NOT IN (values or a sub-query), null, day literals; GROUP BY, HAVING, ORDER BY,
LIMIT, OFFSET. Anything else is refused with MALFORMED_QUERY, never ignored.
"""

from .parser import parse
from .run import Rows, run

__all__ = ["Rows", "parse", "run"]
