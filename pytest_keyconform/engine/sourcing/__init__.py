"""The source of limits that the harness runs: a server on the loopback, and the programs that are given it."""
