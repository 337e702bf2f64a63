"""What operators see of the durable core and what they may do about failures; served by every service.

servicer.py   the gRPC service      queries.py   reads      commands.py   replay, discard, assign      wire.py   rendering
"""
