"""Judges: the protocol of a chat model that reads explanations, how it is asked, and judges that need no network."""
