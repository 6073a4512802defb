"""This machine: memory used again, objects made often, the processor, processes started."""
