"""The database as it is after a day of work. Open this file when a fresh one is measured as if it were an old one.

A fresh PostgreSQL makes and clears a file of 16 MB for its log whenever one is full, and a commit waits 11 to 17 ms for
it: at 1,500 orders a second more than once each second. One that has run for a while takes files that it used before.
"""

import asyncpg

LOG_MIB = 512
"""So much of the log is kept to be used again: half of what is written at most until the next checkpoint."""
FILE_MIB = 16
SETTINGS = ("-c", f"min_wal_size={LOG_MIB}MB")


async def wear_in(driver: asyncpg.Connection) -> None:
    """Has all files of the log made, which the checkpoint then gives free. For peers and pgbench alike."""
    for _ in range(LOG_MIB // FILE_MIB):
        await driver.execute("SELECT pg_logical_emit_message(false, 'ordermesh', 'bench')")
        await driver.execute("SELECT pg_switch_wal()")
    await driver.execute("CHECKPOINT")
