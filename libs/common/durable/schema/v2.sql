-- What is done about parked items: a second person's approval, an edited payload, bulk replays. Only adds to v1.

-- What an operator asked for and a second person must approve; all empty while nothing is asked for.
ALTER TABLE delivery
    ADD COLUMN request_id          text NOT NULL DEFAULT '',
    ADD COLUMN requested_act       text NOT NULL DEFAULT '',  -- replay discard
    ADD COLUMN requested_by        text NOT NULL DEFAULT '',
    ADD COLUMN requested_reason    text NOT NULL DEFAULT '',
    ADD COLUMN request_expire_time timestamptz;

-- The payload that stands in for the event's in this delivery, and who put it there. The event itself never changes.
ALTER TABLE delivery
    ADD COLUMN edited_data bytea,
    ADD COLUMN edited_by   text NOT NULL DEFAULT '';

-- The bulk replay that made it due last.
ALTER TABLE delivery
    ADD COLUMN replay_id text NOT NULL DEFAULT '';

CREATE INDEX delivery_replay ON delivery (replay_id) WHERE replay_id <> '';

-- One row per bulk replay, never changed. Those of a tenant follow one another: none begins before the one before it
-- has made its last item due.
CREATE TABLE replay (
    replay_id      text        PRIMARY KEY,
    tenant         text        NOT NULL,
    requested_by   text        NOT NULL,
    reason         text        NOT NULL,
    items          integer     NOT NULL,
    per_second     integer     NOT NULL,
    first_due_time timestamptz NOT NULL,
    last_due_time  timestamptz NOT NULL,
    create_time    timestamptz NOT NULL
);

CREATE INDEX replay_pace ON replay (tenant, last_due_time);
