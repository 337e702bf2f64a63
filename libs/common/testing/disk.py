"""A disk that is full, for a real PostgreSQL on this machine. Open this file to test what becomes of a write then.

    async with FullDisk(driver, ["event", "delivery"]):
        …every insert into these tables ends with 53100, as PostgreSQL says it when the kernel says ENOSPC…

The kernel's own word: a table whose file is `/dev/full`, to which each insert into the named tables writes as well. A
small file system would be needed otherwise, and only an administrator may mount one. Needs Linux.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import asyncpg

FULL = Path("/dev/full")
TABLE = "brimful"


class FullDisk:
    """Full inside the block, with room again after it. driver: of a superuser, its search path the tables' schema."""

    def __init__(self, driver: asyncpg.Connection, tables: Sequence[str]) -> None:
        self._driver = driver
        self._tables = tables

    async def __aenter__(self) -> Self:
        driver = self._driver
        await driver.execute(f"CREATE TABLE {TABLE} (written boolean)")
        await driver.execute("CHECKPOINT")  # what is to be synced is, before the file is another one
        file = Path(await driver.fetchval("SHOW data_directory")) / await driver.fetchval(
            "SELECT pg_relation_filepath($1::text::regclass)", TABLE
        )
        file.unlink()
        file.symlink_to(FULL)
        await driver.execute(
            f"CREATE FUNCTION {TABLE}() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS"  # noqa: S608
            f" $$ BEGIN INSERT INTO {TABLE} VALUES (true); RETURN NULL; END $$"
        )
        for table in self._tables:
            await driver.execute(
                f"CREATE TRIGGER {TABLE} AFTER INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {TABLE}()"
            )
        return self

    async def __aexit__(self, *error: object) -> None:
        for table in self._tables:
            await self._driver.execute(f"DROP TRIGGER {TABLE} ON {table}")
        await self._driver.execute(f"DROP FUNCTION {TABLE}()")
        await self._driver.execute(f"DROP TABLE {TABLE}")
