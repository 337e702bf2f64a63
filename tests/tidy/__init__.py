"""The repository looks at itself: what people agreed on is checked here, with a message that says what to do."""
