"""HTTP handlers: read the request, call one thing, answer."""
