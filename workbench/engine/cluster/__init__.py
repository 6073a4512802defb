"""The executor on Dask; nothing else imports Dask."""

from workbench.engine.cluster.executor import Cluster
from workbench.engine.cluster.laptop import connected, local_cluster

__all__ = ["Cluster", "connected", "local_cluster"]
