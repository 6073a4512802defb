"""The executor on Dask; nothing else imports Dask."""

from workbench.engine.dask.executor import Cluster
from workbench.engine.dask.local_cluster import connected, local_cluster

__all__ = ["Cluster", "connected", "local_cluster"]
