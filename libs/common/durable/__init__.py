"""The durable core: what must commit together, and the two loops that carry it outward and inward.

    tx/             what one command may read and write
    unit.py         one commit for state, events, deliveries, audit, links and answer; waiting commands share it
    repetitions.py  commands that were answered before: when a key is looked up
    probes.py       statements for many rows that are planned once
    relay.py        claims due deliveries, hands them to targets, settles them
    settling.py     what becomes of a delivery once it was tried: delivered, retried, in doubt, parked
    ingest.py       reads an outside system's changes, takes them in together with the cursor
    aside.py        changes from outside that could not be taken in
    together.py     reads that wait at the same time, asked with one statement
    rehearsal.py    a commit that is taken back
    seal.py         originals that are kept encrypted, and who can read them
    sweep.py        forgets idempotency keys and history whose time is up; retention.py says what and when
    schema/         the tables, told as SQL

Read `schema/v1.sql` and what came after it first, then `unit.py`, then `relay.py`.
"""
