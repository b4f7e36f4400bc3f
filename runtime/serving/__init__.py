"""Many streams on one model: batch dispatch, worker processes, and the asyncio service in front of them."""
