"""Turns an experiment file into a run. Imports no TensorFlow."""
