"""What operators see of the durable core and what they may do about failures; served by every service.

servicer.py   the gRPC service        commands.py   replay, discard, edit, approve, assign, comment
bulk.py       replay of many          handling.py   what can be told of an item, by where it goes
queries.py    reads                   payloads.py   what an item carries, shown and edited
wire.py       rendering               trail.py      the audit of what was done
obsolete.py   what a later success closes  editing.py  an edited payload before it is taken
effects.py    what is known of each write  originals.py  what is sealed, opened and revealed
"""
