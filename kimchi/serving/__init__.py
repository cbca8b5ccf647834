"""The HTTP API: KIMCHI behind other programs, in the shape of OpenAI's images API."""
