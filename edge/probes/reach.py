"""Whether something answers at an address. That it answers does not say that a camera sees."""

from __future__ import annotations

import asyncio


async def answers(host: str, port: int, within_s: float = 2.0) -> bool:
    """Whether a TCP connection comes about in time. Nothing is sent."""
    try:
        async with asyncio.timeout(within_s):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
