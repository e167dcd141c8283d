"""Runs as one HTML page that opens without a network: run directories are read, laid out and drawn."""
