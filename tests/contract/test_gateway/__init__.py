"""The gateway as its callers meet it, in front of backends that record and answer as told."""
