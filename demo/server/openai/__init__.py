"""The OpenAI API as far as it turns speech into text: recordings by HTTP, and live audio by a websocket."""
