"""Circuits whose nodes are latents of dictionaries, and what dictionaries leave out (error nodes)."""
