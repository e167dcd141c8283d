"""Prometheus and Grafana for the runs of this machine: what they are told, and both as child processes."""

from launcher.monitoring.configuration import Setup
from launcher.monitoring.errors import MonitoringError
from launcher.monitoring.programs import monitored

__all__ = ["MonitoringError", "Setup", "monitored"]
