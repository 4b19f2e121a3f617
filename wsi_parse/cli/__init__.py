"""The command line: thin. Each command parses, makes one call, and prints."""
