"""Capital recall: facts about countries."""

from __future__ import annotations

from .task import Draw, Example, task, twin_prompts, word_pairs

CAPITALS = word_pairs(
    "France/Paris Germany/Berlin Italy/Rome Spain/Madrid Japan/Tokyo China/Beijing Russia/Moscow Egypt/Cairo "
    "Greece/Athens Austria/Vienna England/London Portugal/Lisbon Poland/Warsaw Ireland/Dublin Norway/Oslo "
    "Sweden/Stockholm Finland/Helsinki Denmark/Copenhagen Hungary/Budapest Cuba/Havana Iran/Tehran Iraq/Baghdad "
    "Turkey/Ankara Kenya/Nairobi India/Delhi Canada/Ottawa Peru/Lima Belgium/Brussels Thailand/Bangkok "
    "Afghanistan/Kabul Syria/Damascus Scotland/Edinburgh Taiwan/Taipei Venezuela/Caracas"
)
TEMPLATES = (
    "The capital of {country} is",
    "The capital city of {country} is called",
    "Everyone knows that the capital of {country} is",
    "The government of {country} sits in the city of",
)


@task("capital", "the capital of a country")
def capital(draw: Draw) -> Example:
    """Clean: "The capital of France is" -> Paris; the twin names another country."""
    (country, city), (other_country, other_city) = draw.pair(CAPITALS)
    return twin_prompts(
        draw.choice(TEMPLATES),
        {"country": country},
        {"country": other_country},
        [f" {city}"],
        [f" {other_city}"],
        [f" {country}", f" {other_country}"],
    )
