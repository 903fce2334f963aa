"""Clients for servers without native tool calls: tools merged into one, or described in text."""
