"""NetSuite: open this folder for anything about how ordermesh and a NetSuite account talk."""
