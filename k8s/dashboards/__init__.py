"""Grafana's dashboards as code, and what else of k8s/ is generated. `make dashboards` writes the files."""
