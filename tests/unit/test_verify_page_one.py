"""Page one, computed by the verifier from the entries alone, is the one that the report shows."""

import pytest

from luxima_retention.evidence.ledger import verify
from tests.unit import report_states as states


def told(monkeypatch, state):
    """The report of a state, and the ledger that it was made from."""
    histories = []
    real = states.made
    monkeypatch.setattr(
        states, "made", lambda history, *a, **k: histories.append(history) or real(history, *a, **k)
    )
    return state(), histories[-1].ledger


@pytest.mark.parametrize("state", [state for name, state in states.STATES.items() if name != "broken"])
def test_both_count_the_same(monkeypatch, state):
    report, ledger = told(monkeypatch, state)
    page = verify.PageOne(report.start, report.end)
    for item in ledger.all:
        page.add(verify.parse(item.data))
    verdict = verify.Verification(entries=report.ledger.size, root=report.ledger.root)
    value = report.as_json()
    verify.compare(value, page, verdict)
    value["destroyed"] += 1
    with pytest.raises(verify.TamperedError, match=r"destroyed: report\.json says"):
        verify.compare(value, page, verdict)


def test_a_report_that_says_itself_that_it_proves_nothing_is_refused():
    value = states.broken().as_json()
    with pytest.raises(verify.TamperedError, match="says itself that its ledger was not verified"):
        verify.compare(value, verify.PageOne(states.START, states.END), verify.Verification())
