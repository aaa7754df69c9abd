"""What the suite costs, beside what people do by hand: ``python -m bench``, and what it writes."""
