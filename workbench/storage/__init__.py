"""Files on disk: atomic writes, manifests, rows, and the folders of runs and checkpoints."""
