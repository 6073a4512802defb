"""A small parameter server and pushes to it, for its laws."""

import numpy as np
from toy import settings

from workbench.training import Item, ParameterServer, Push

THETA = np.array([1.0, -2.0, 0.5], np.float32)
G = np.array([0.1, 0.2, -0.3], np.float32)


def a_push(step=0, gradient=G, version=0, subset=0, **more):
    return Push(Item(subset, step), gradient, version, f"replica {subset}", **more)


def a_server(**changes):
    return ParameterServer(THETA, settings(**changes))
