"""What is chosen above a dashboard: where the metrics are, the namespace, the run."""

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.common import DataSourceRef

from trainer.contract.metric_names import RUN, RUN_INFO

DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
"""Whatever Prometheus was chosen; no dashboard names one."""


def datasource() -> build.DatasourceVariable:
    """Which Prometheus is asked."""
    return build.DatasourceVariable("datasource").label("Prometheus").type("prometheus")


def namespace() -> build.QueryVariable:
    """A namespace, or all; runs outside a cluster have none and are found under all."""
    everything = models.VariableOption(text="All", value="$__all")
    return (
        _query("namespace", "Namespace", f"label_values({RUN_INFO.name}, namespace)")
        .include_all(True)
        .all_value(".*")
        .current(everything)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )


def run() -> build.QueryVariable:
    """A run of that namespace; names end with the time, so that the newest of an experiment stand first."""
    found = f'label_values({RUN_INFO.name}{{namespace=~"$namespace"}}, {RUN})'
    return _query("run", "Run", found).sort(models.VariableSort.ALPHABETICAL_DESC)


def _query(name: str, label: str, query: str) -> build.QueryVariable:
    return (
        build.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query({"query": query, "refId": name})
        .definition(query)
        # Runs of the chosen time, those that have ended among them.
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
    )
