"""The engine for asyncio backends that need a real event loop: sockets, threads of their own, subprocesses."""
