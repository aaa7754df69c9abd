"""Everything that reads what somebody else wrote, fed with what nobody would write.

``targets.py`` says what is fed and which errors are an answer; ``mutate.py`` changes good input; the suite
tries a few changes of each, `python -m tests.fuzz NAME --seconds 600` goes on with atheris, which is
guided by coverage. What either finds becomes a line in ``found.json``, which the suite tries for ever.
"""
