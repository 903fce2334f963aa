"""Circuits whose edges are known: transformers compiled from programs, trained in seconds, or planted in a subject."""
