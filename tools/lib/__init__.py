"""Parts that the tools share."""
