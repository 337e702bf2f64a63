-- Tables that stay fast: what is old can go, and what changes often finds room beside itself. Only adds to v2.

-- Where the audit of a subject begins after its oldest rows have gone: the hash of the last row that went. The chain of
-- the rows that are left goes on from there.
CREATE TABLE audit_anchor (
    tenant       text        NOT NULL,
    subject      text        NOT NULL,
    hash         bytea       NOT NULL,
    rows_removed bigint      NOT NULL,
    remove_time  timestamptz NOT NULL,
    PRIMARY KEY (tenant, subject)
);

-- A delivery changes two or three times and then never again: room on its page, and a vacuum after one change in fifty
-- instead of one in five, so that claims do not wade through dead rows.
ALTER TABLE delivery SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);

-- One row that changes with every page read: updates stay on their page and touch no index.
ALTER TABLE cursor SET (fillfactor = 50, autovacuum_vacuum_threshold = 100);

ALTER TABLE idempotency SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05);
