"""What every connector shares; open it to write a new connector or a new simulator."""
