"""Real processes on one storage: forked from an interpreter that has the target imported, called over sockets."""
