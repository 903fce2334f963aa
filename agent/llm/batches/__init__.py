"""Judges and simulators in batches: many requests at once, at half the price, answered within a day.

    service            what a provider's batch API can do: `openai_batches`, `anthropic_batches`
    desk               notes the questions of many targets, and settles them in batches
    submission         one batch from its first event to the provider's id, found again after a kill
    collection         waits for batches, and writes their answers to the journal
    patient_calls      calls that are repeated while a server is busy

Why the questions are asked in passes: docs/design/batches.md.
"""
