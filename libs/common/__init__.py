"""What the services, the connectors and the gateway share. Nothing moves in here before two of them need it."""
