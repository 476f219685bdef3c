"""Programs of a user's own, not workloads on a key manager: run under the same schedulers, on tasks or threads."""
