"""The network as functions of one flat parameter vector."""

# Imported first, and before torch, because MKL reads its environment when it is first called.
from workbench.model.gemm import processor as processor
