"""Language models: one protocol, a file a provider."""
