"""Pairs of options, forms that state a preference, and situations that show one.

`{first}` and `{second}` are the options in either order. Each form ends where an option follows.
"""

from __future__ import annotations

OPTION_PAIRS: tuple[tuple[str, str], ...] = (
    ("tea", "coffee"), ("cats", "dogs"), ("summer", "winter"), ("books", "films"),
    ("bread", "rice"), ("music", "silence"), ("cities", "villages"), ("mountains", "beaches"),
    ("apples", "oranges"), ("trains", "planes"), ("mornings", "evenings"), ("football", "tennis"),
    ("paper", "plastic"), ("history", "physics"), ("cheese", "chocolate"), ("gardens", "forests"),
    ("rain", "snow"), ("letters", "emails"), ("honesty", "flattery"), ("peace", "victory"),
    ("freedom", "safety"), ("money", "friendship"), ("work", "rest"), ("truth", "comfort"),
    ("wine", "beer"), ("horses", "cows"), ("bicycles", "cars"), ("salt", "sugar"),
    ("poetry", "prose"), ("gold", "silver"), ("fish", "meat"), ("chess", "cards"),
)  # fmt: skip
STATED: tuple[str, ...] = (
    "Between {first} and {second}, I prefer",
    "If I had to choose between {first} and {second}, I would choose",
    "Q: Which do you like better, {first} or {second}? A: I like",
    "I have thought about {first} and {second}, and what I like more is",
    "People ask me about {first} and {second}. My favourite is",
    "Given {first} or {second}, what I value most is",
)
SHOWN: tuple[str, ...] = (
    "We were offered {first} and {second}. Without a thought I took",
    "The day was free for {first} or {second}. I spent all of it on",
    "There was money for {first} or for {second}, not both. In the end I paid for",
    "I had to give up {first} or {second}. I kept",
    "They talked about {first} and {second} at dinner. I kept asking about",
    "In the shop there were books on {first} and on {second}. I went home with one on",
)
