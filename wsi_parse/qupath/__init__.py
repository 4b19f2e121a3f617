"""What QuPath takes: geometry, rules, classes and ids; files are checked and repaired."""
