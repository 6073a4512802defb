"""The network as functions of one flat parameter vector."""
