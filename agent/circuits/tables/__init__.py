"""Tables that need no investigation: abilities, effects of components, causal abstraction."""
