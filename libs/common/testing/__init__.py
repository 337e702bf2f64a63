"""What tests of any part need: stand-ins for our ports, and suites that run over every implementation of one."""
