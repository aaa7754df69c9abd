"""Consistency proofs: built from peaks alone they are those of RFC 6962, and nothing else passes."""

import base64

from hypothesis import given, settings
from hypothesis import strategies as st

from luxima_retention.evidence.ledger.verify import Tree, leaf_hash, node_hash
from luxima_retention.evidence.witness.proof import consistency_proof, is_consistent


def leaves(count):
    return [leaf_hash(b"%d" % number) for number in range(count)]


def tree_of(items):
    tree = Tree()
    for item in items:
        tree.add(item)
    return tree


def by_definition(old, items, *, whole=True):
    """SUBPROOF as RFC 6962, section 2.1.2, writes it down, over all leaves."""
    if old == len(items):
        return [] if whole else [tree_of(items).root()]
    middle = 1
    while middle * 2 < len(items):
        middle *= 2
    if old <= middle:
        return [*by_definition(old, items[:middle], whole=whole), tree_of(items[middle:]).root()]
    return [*by_definition(old - middle, items[middle:], whole=False), tree_of(items[:middle]).root()]


@settings(deadline=None)
@given(st.integers(1, 130), st.integers(0, 130))
def test_peaks_give_the_proof_of_the_definition_and_it_is_accepted(old, more):
    items = leaves(old + more)
    before, after = tree_of(items[:old]), tree_of(items)
    proof = consistency_proof(before, items[old:])
    assert proof == by_definition(old, items)
    assert is_consistent(old, before.root(), after.size, after.root(), proof)


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_another_history_or_a_changed_proof_is_not(old, more, data):
    items = leaves(old + more)
    before, after = tree_of(items[:old]), tree_of(items)
    proof = consistency_proof(before, items[old:])
    at = data.draw(st.integers(0, old - 1))
    other = tree_of([*items[:at], leaf_hash(b"other"), *items[at + 1 : old]])
    assert not is_consistent(old, other.root(), after.size, after.root(), proof)
    assert not is_consistent(old, before.root(), after.size, other.root(), proof)
    assert not is_consistent(old, before.root(), after.size, after.root(), [*proof, items[0]])
    changed = list(proof)
    if changed:
        place = data.draw(st.integers(0, len(changed) - 1))
        changed[place] = bytes(32)
        assert not is_consistent(old, before.root(), after.size, after.root(), changed)
        assert not is_consistent(old, before.root(), after.size, after.root(), proof[:-1])


def test_an_empty_tree_is_the_beginning_of_all_and_needs_no_proof():
    after = tree_of(leaves(5))
    assert consistency_proof(Tree(), leaves(5)) == []
    assert is_consistent(0, Tree().root(), 5, after.root(), [])
    assert not is_consistent(0, Tree().root(), 5, after.root(), [bytes(32)])
    assert not is_consistent(6, after.root(), 5, after.root(), [])
    assert is_consistent(5, after.root(), 5, after.root(), [])
    assert base64.b64encode(node_hash(leaves(1)[0], leaves(1)[0]))
