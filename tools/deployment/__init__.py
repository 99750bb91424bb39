"""Checks of the files in deploy/, each against the schema or the program that will read it."""
