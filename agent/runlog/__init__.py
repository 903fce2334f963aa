"""What a run is on disk: its configuration, its log, and what is read from them.

Here: files and events of a run folder, and everything that reads them without a model. Not here:
anything that decides (`investigation`, `run`), anything that asks a language model (`llm`), HTML
(`review`).
"""
