"""A whole mesh in one process, replayable from its seed. Open this package to simulate, or to add a fault.

loop.py      an event loop in which time passes only when nothing else is left to do
fate.py      the seed: how long each message takes, which fault strikes, and the trace of every step
database.py  connections to a real PostgreSQL, one message at a time, that can be cut at any of them
backend.py   one server process of it, asked and waited for on the spot
network.py   calls between processes: lost, delayed, doubled, refused
talk.py      streams between processes: broken, silent, delayed
channel.py   the caller's end of both
process.py   processes that die at any step and come back with nothing but their stores
watch.py     what must hold after every commit, read off the rows that changed
"""
