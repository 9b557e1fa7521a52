"""Runs, sources, parameters, the headless runner, the report and the command line. No mathematics."""
