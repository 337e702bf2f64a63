-- The tables every service has beside its own. One schema per service; `search_path` picks it.
-- Statements are separated by a line that ends in a semicolon. This file is frozen once released: change by migration.

-- One row per write that was answered. The row commits with the change it protects, so a key is either unknown or
-- answered; a process that dies in between leaves nothing behind. Rows go when `expiry_time` has passed.
CREATE TABLE idempotency (
    tenant       text        NOT NULL,
    method       text        NOT NULL,  -- the command, for example submit_order
    key          text        NOT NULL,
    fingerprint  bytea       NOT NULL,  -- SHA-256 of the canonical request without its key
    answer       bytea       NOT NULL,  -- the serialised response, replayed byte for byte
    expiry_time  timestamptz NOT NULL,
    PRIMARY KEY (tenant, method, key)
);

CREATE INDEX idempotency_expiry ON idempotency (expiry_time);

-- One row per fact, never changed.
CREATE TABLE event (
    position         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id         text        NOT NULL UNIQUE,
    tenant           text        NOT NULL,
    type             text        NOT NULL,  -- full name of the message in data
    subject          text        NOT NULL,  -- orders/ord_…
    sequence         bigint      NOT NULL,  -- within the subject, from 1, without gaps
    data             bytea       NOT NULL,
    source_system    text        NOT NULL,
    actor            text        NOT NULL,
    correlation_id   text        NOT NULL,
    causation_id     text        NOT NULL,
    traceparent      text        NOT NULL,
    contract_version text        NOT NULL,
    occurred_time    timestamptz NOT NULL,
    UNIQUE (tenant, subject, sequence)
);

-- One row per event and target that hears of it. A relay that tries it holds it under a lease, of which no index knows:
-- claiming a row changes its page and nothing else. A lease that ended was held by a process that died: what it did is in
-- doubt.
CREATE TABLE delivery (
    delivery_id    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant         text        NOT NULL,
    event_id       text        NOT NULL,  -- written in the same statement batch as the event, hence no foreign key
    target         text        NOT NULL,  -- connector:netsuite, service:order, stage:validate, intake:order, stream
    subject        text        NOT NULL,
    sequence       bigint      NOT NULL,
    state          text        NOT NULL,  -- PENDING RETRYING IN_DOUBT PARKED DELIVERED DISCARDED
    attempt        integer     NOT NULL DEFAULT 0,
    due_time       timestamptz NOT NULL,   -- when to try next
    lease_id       text,
    lease_end      timestamptz,
    reason         text        NOT NULL DEFAULT '',
    failure_class  text        NOT NULL DEFAULT '',
    owner          text        NOT NULL DEFAULT '',
    detail         text        NOT NULL DEFAULT '',
    pointer        text        NOT NULL DEFAULT '',
    assignee       text        NOT NULL DEFAULT '',
    pinned_mapping text        NOT NULL DEFAULT '',
    create_time    timestamptz NOT NULL,
    park_time      timestamptz,
    settle_time    timestamptz,
    UNIQUE (event_id, target)
);

-- Serves the claim: due rows of a target, oldest first.
CREATE INDEX delivery_due ON delivery (target, due_time, delivery_id)
    WHERE state IN ('PENDING', 'RETRYING', 'IN_DOUBT');

-- Serves the head-of-line test: is anything of this subject before me still open?
CREATE INDEX delivery_head ON delivery (tenant, target, subject, sequence)
    WHERE state IN ('PENDING', 'RETRYING', 'IN_DOUBT', 'PARKED');

CREATE INDEX delivery_parked ON delivery (tenant, delivery_id) WHERE state IN ('PARKED', 'IN_DOUBT');

-- One row per try, never changed. In ranges of time, each of which goes as a table (`ranges.py`).
CREATE TABLE attempt (
    delivery_id     bigint      NOT NULL,
    number          integer     NOT NULL,
    start_time      timestamptz NOT NULL,
    took_us         bigint      NOT NULL,
    outcome         text        NOT NULL,  -- delivered found retrying in_doubt parked
    reason          text        NOT NULL,
    mapping         text        NOT NULL,
    verdict         text        NOT NULL,
    operation       text        NOT NULL,
    request_digest  bytea       NOT NULL,  -- SHA-256, empty where nothing was sent
    response_digest bytea       NOT NULL,
    sealed_exchange bytea       NOT NULL   -- request and answer, encrypted; empty without a sealing key
) PARTITION BY RANGE (start_time);

CREATE TABLE attempt_rest PARTITION OF attempt DEFAULT;

CREATE INDEX attempt_delivery ON attempt (delivery_id, number);

-- Our record and the outside record are the same thing.
CREATE TABLE link (
    tenant      text NOT NULL,
    system      text NOT NULL,
    kind        text NOT NULL,
    external_id text NOT NULL,
    record_id   text NOT NULL,
    number      text NOT NULL,
    version     text NOT NULL,
    PRIMARY KEY (tenant, system, kind, external_id)
);

-- One record may stand for several outside ones, for example after a merge.
CREATE INDEX link_record ON link (tenant, record_id);

-- How far the changes of an outside system are taken in. Moves in the same commit as the records.
CREATE TABLE cursor (
    tenant         text        NOT NULL,
    system         text        NOT NULL,
    kind           text        NOT NULL,
    position       bytea       NOT NULL,
    generation     bigint      NOT NULL,  -- rises with each move; two readers cannot both move it
    caught_up_time timestamptz,
    reason         text        NOT NULL DEFAULT '',
    PRIMARY KEY (tenant, system, kind)
);

-- One row per field that changed. Each row's hash covers the row before it of the same subject, and the record keeps the
-- last hash: a row changed or cut off later shows.
CREATE TABLE audit (
    position       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant         text        NOT NULL,
    subject        text        NOT NULL,
    field          text        NOT NULL,
    old_value      text        NOT NULL,
    new_value      text        NOT NULL,
    source_system  text        NOT NULL,
    actor          text        NOT NULL,
    rule           text        NOT NULL,
    correlation_id text        NOT NULL,
    occurred_time  timestamptz NOT NULL,
    hash           bytea       NOT NULL
);

CREATE INDEX audit_subject ON audit (tenant, subject, position);
