"""An experiment as Kubernetes objects: pure functions from a plan to plain data, one module per kind."""

from launcher.manifests.config_map import read_config_map
from launcher.manifests.plan import NEWEST, OLDEST, KubeVersion, RunPlan
from launcher.manifests.render import render
from launcher.manifests.text import to_yaml

__all__ = ["NEWEST", "OLDEST", "KubeVersion", "RunPlan", "read_config_map", "render", "to_yaml"]
