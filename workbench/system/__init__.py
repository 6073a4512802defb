"""This machine: memory that is used again, the processor, and the processes that are started."""
