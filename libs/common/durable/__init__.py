"""The durable core: what must commit together, and the two loops that carry it outward and inward.

    tx/          what one command may read and write
    unit.py      one commit for state, events, deliveries, audit, links and answer; waiting commands share it
    relay.py     claims due deliveries, hands them to targets, settles them
    settling.py  what becomes of a delivery once it was tried: delivered, retried, in doubt, parked
    ingest.py    reads an outside system's changes, takes them in together with the cursor
    aside.py     changes from outside that could not be taken in
    sweep.py     forgets idempotency keys whose time is up
    schema/      the tables, told as SQL

Read `schema/v1.sql` first, then `unit.py`, then `relay.py`.
"""
