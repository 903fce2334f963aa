"""Tables about a task that need no investigation: what a subject can do, effects of components, causal abstraction."""
