"""What launcher and trainer agree on. Imports neither TensorFlow, Keras nor Kubernetes."""
