"""The instruments for any client of the Model Context Protocol.

Here: the protocol and the dispatch to instruments. Not here: the instruments (`tools.instruments`).
"""
