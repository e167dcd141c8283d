"""Perdure measured beside its yardsticks: `python -m benchmarks`, results in README.md of this folder."""
