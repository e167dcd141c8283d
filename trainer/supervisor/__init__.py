"""The life of a run on one worker, and of the group of all workers; without TensorFlow."""
