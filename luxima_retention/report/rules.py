"""Well-known rules about how long records are kept, as cited data, held against the matrix. Pure.

Data, not legal advice: whether a rule applies to a company is for that company to say. Sources:

* PCI DSS v4.0.1, requirement 10.5.1: audit log history of at least 12 months, the newest three months of it
  immediately available. Three calendar months are 89 to 92 days.
* PP 80/2019 on trade through electronic systems (PMSE), article 25: data of financial transactions at least
  10 years, other data of the trade at least 5 years: 3653 and 1826 days with their leap days.
* UU 27/2022 on personal data, articles 42 to 44: processing ends with the retention period; destroyed when
  the period has run out and the schedule says so. It names no number of days.
* PP 71/2019 on electronic systems, article 4: records can be shown again, whole, for the period that the law
  sets. It names no number of days.
* CNIL, guidance on logging (France): six months to one year as the normal span.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule.

    Args:
        name: for programs; texts in both languages stand under ``rule <name>``.
        cites: instrument and place in it.
        days: the least that it asks for; ``None`` where it names no number.
        archived: whether an archive counts.
    """

    name: str
    cites: str
    days: int | None
    archived: bool = True


RULES = (
    Rule(name="pci-history", cites="PCI DSS v4.0.1, 10.5.1", days=365),
    Rule(name="pci-at-hand", cites="PCI DSS v4.0.1, 10.5.1", days=92, archived=False),
    Rule(name="pmse-trade", cites="PP 80/2019 (PMSE), 25", days=1826),
    Rule(name="pmse-money", cites="PP 80/2019 (PMSE), 25", days=3653),
    Rule(name="cnil-logs", cites="CNIL, journalisation", days=184),
    Rule(name="pdp-end", cites="UU 27/2022 (PDP), 42-44", days=None),
    Rule(name="pse-show", cites="PP 71/2019 (PSE), 4", days=None),
)


def compared(
    policies: Mapping[str, tuple[int, tuple[str, ...]]], archived: Mapping[str, int]
) -> Iterator[dict[str, Any]]:
    """Each rule against each policy of the matrix that it may concern.

    Args:
        policies: policy → its period in days, and the names of the rules that may concern it.
        archived: policy → days that its archive is kept; policies without an archive are not in it.
    """
    for rule in RULES:
        told = {"rule": rule.name, "cites": rule.cites, "asks_days": rule.days}
        if rule.days is None:
            yield {**told, "policy": None, "kept_days": None, "clash": None}
            continue
        for policy, (days, concerning) in policies.items():
            if rule.name in concerning:
                kept = days + (archived.get(policy, 0) if rule.archived else 0)
                yield {**told, "policy": policy, "kept_days": kept, "clash": kept < rule.days}
