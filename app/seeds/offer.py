"""The shop window of the demo city: services with their base prices, and the wishes that a customer may name."""

from typing import NamedTuple


class OfferedService(NamedTuple):
    """A service; `base_amount` in cents."""

    service: str
    name: str
    category: str
    description: str
    duration_s: int
    base_amount: int


SERVICES: tuple[OfferedService, ...] = (
    OfferedService("haircut", "Haircut", "beauty", "Cut and styling at home, for any length.", 45 * 60, 6500),
    OfferedService("manicure", "Manicure", "beauty", "Shape, care and polish for hands.", 40 * 60, 4800),
    OfferedService("facial", "Facial", "beauty", "Cleansing and care for face and neck.", 60 * 60, 8200),
    OfferedService("massage", "Massage", "care", "A full-body massage on a table we bring along.", 60 * 60, 11000),
    OfferedService("hvac_repair", "Heating and cooling repair", "repair",
                   "Furnace, heat pump or air conditioner: found and fixed.", 90 * 60, 14500),
    OfferedService("electrical", "Electrical work", "repair",
                   "Outlets, breakers and fixtures by a licensed electrician.", 75 * 60, 12900),
    OfferedService("plumbing", "Plumbing", "repair", "Leaks, drains and fixtures.", 75 * 60, 13500),
    OfferedService("furniture_assembly", "Furniture assembly", "home",
                   "Shelves, beds and desks put together and fixed to the wall.", 90 * 60, 7900),
)  # fmt: skip

EXPERIENCES: tuple[tuple[str, str, str], ...] = (
    ("quiet_visit", "Quiet visit", "No small talk unless you start it."),
    ("explains_everything", "Explains everything", "Tells you what is done and why, step by step."),
    ("good_with_children", "Good with children", "Patient with small people and their questions."),
    ("pets_welcome", "Pets welcome", "Glad to meet your dog or cat."),
    ("speaks_spanish", "Habla español", "Speaks Spanish fluently."),
    ("fragrance_free", "Fragrance free", "Brings products without scent."),
    ("shoe_covers", "Shoe covers", "Covers shoes at the door and leaves no trace."),
    ("punctual", "On the minute", "Comes exactly when promised, or calls before."),
)
