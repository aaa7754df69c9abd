"""Consistency proofs of RFC 6962, section 2.1.2: that one tree is the beginning of another. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from luxima_retention.evidence.ledger.verify import Tree, node_hash


def consistency_proof(old: Tree, leaves: Sequence[bytes]) -> list[bytes]:
    """Prove that the tree of ``old`` and ``leaves`` begins with ``old``.

    Nothing of the old leaves is needed: each node of the proof is one of the old tree's peaks, or lies over
    new leaves alone.

    Args:
        old: the earlier tree.
        leaves: the leaf hashes that follow.
    """
    if not old.size or not leaves:
        return []
    return _Builder(old, leaves).proof(0, old.size + len(leaves), whole=True)


class _Builder:
    def __init__(self, old: Tree, leaves: Sequence[bytes]) -> None:
        self._old, self._leaves = old.size, leaves
        self._peaks: dict[tuple[int, int], bytes] = {}
        start = 0
        for peak, bit in zip(old.peaks, _bits(old.size), strict=True):
            self._peaks[start, start + bit] = peak
            start += bit

    def proof(self, low: int, high: int, *, whole: bool) -> list[bytes]:
        """SUBPROOF over the leaves from ``low`` to ``high``, the old tree's end being among them."""
        if self._old == high:
            return [] if whole else [self._root(low, high)]
        middle = low + _split(high - low)
        if self._old <= middle:
            return [*self.proof(low, middle, whole=whole), self._root(middle, high)]
        return [*self.proof(middle, high, whole=False), self._root(low, middle)]

    def _root(self, low: int, high: int) -> bytes:
        if (low, high) in self._peaks:
            return self._peaks[low, high]
        tree = Tree()
        for leaf in self._leaves[low - self._old : high - self._old]:
            tree.add(leaf)
        return tree.root()


def _bits(size: int) -> list[int]:
    """13 → 8, 4, 1: the sizes of the perfect subtrees."""
    return [1 << place for place in reversed(range(size.bit_length())) if size >> place & 1]


def _split(size: int) -> int:
    """The largest power of two below ``size``."""
    return 1 << (size - 1).bit_length() - 1


def is_consistent(old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the tree of ``size`` leaves begins with that of ``old_size``.

    RFC 9162, section 2.1.4.2. An empty tree is the beginning of every tree, and needs an empty proof.
    """
    if old_size > size:
        return False
    if old_size in {0, size}:
        return not proof and (old_size == 0 or old_root == root)
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    node, last = old_size - 1, size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    first = second = path[0]
    for item in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            first, second = node_hash(item, first), node_hash(item, second)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            second = node_hash(second, item)
        node, last = node >> 1, last >> 1
    return (first, second, last) == (old_root, root, 0)
