"""Between a socket and a servicer: what a caller meets, over a real connection."""
