"""Between a socket and a servicer: server, channel, and what happens to every call in between."""
