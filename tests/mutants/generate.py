"""Writes ``mutants/``: the tree, with every mutant of the modules that ``[tool.mutmut]`` names.

A literal with a blank in it is a sentence for people, or a part of one. Which of its letters are capitals
decides nothing, and where its words matter a test compares them; so it has no mutants. Literals without one
are names that programs read (guards, rules, members of JSON) and are changed like everything else.

mutmut makes the mutants, each as a function beside the original; :mod:`tests.mutants.session` runs the tests.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import libcst
from mutmut.mutation import mutators


def of_names(node: libcst.BaseString) -> Iterable[libcst.BaseString]:
    """The mutants of a literal that programs read."""
    if isinstance(node, libcst.SimpleString) and " " not in node.value:
        yield from mutators.operator_string(node)


if __name__ == "__main__":
    kinds = mutators.mutation_operators
    kinds[:] = [(node, of_names if change is mutators.operator_string else change) for node, change in kinds]
    os.environ["MUTANT_UNDER_TEST"] = "mutant_generation"
    from mutmut.__main__ import create_mutants
    from mutmut.utils.file_utils import copy_also_copy_files, copy_src_dir

    Path("mutants").mkdir(exist_ok=True)
    copy_src_dir()
    copy_also_copy_files()
    create_mutants(2)
