"""From a data directory to a prepared corpus."""
