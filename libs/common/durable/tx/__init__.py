"""What one command may read and write: how state, events, deliveries and audit stay together.

Commands of one commit share a `Group` (one connection, one identity map); each has its own `Tx`, whose writes count
only once the command has ended well. Nothing is written before `Group.flush`, which writes everything in a handful of
multi-row statements.

kind.py   how a kind of record is stored       view.py    what one command sees and wants
audit.py  who changed what, hash-linked        group.py   one commit under way
ahead.py  records that many commands will ask for, read at once
"""

from libs.common.durable.tx.audit import audit_digest, verify_audit
from libs.common.durable.tx.group import Group, LinkTaken, Lost, Writes
from libs.common.durable.tx.kind import Kind
from libs.common.durable.tx.view import Records, Tx

__all__ = ["Group", "Kind", "LinkTaken", "Lost", "Records", "Tx", "Writes", "audit_digest", "verify_audit"]
