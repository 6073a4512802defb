"""The executor on Dask; nothing else imports Dask."""

from workbench.engine.cluster.executor import Cluster
from workbench.engine.cluster.laptop import local_cluster

__all__ = ["Cluster", "local_cluster"]
