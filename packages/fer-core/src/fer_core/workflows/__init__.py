"""What a command does, in the order in which it happens."""
