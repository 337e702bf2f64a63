"""What operators see of the durable core and what they may do about failures; served by every service.

servicer.py   the gRPC service    commands.py   replay, discard, assign
queries.py    reads               wire.py       rendering
"""
