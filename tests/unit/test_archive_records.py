"""Records of a stream: cut, counted and hashed the same however the stream arrives."""

import csv
import hashlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luxima_retention.core.errors import ArchiveError
from luxima_retention.evidence.archive.records import LEAF, Digester

fields = st.none() | st.text(
    st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]) | st.sampled_from('",\n\\é '),
    max_size=20,
)
rows = st.lists(st.lists(fields, min_size=2, max_size=4), max_size=40)


def as_csv(rows):
    """RFC 4180 as PostgreSQL writes it: NULL is nothing, an empty text is two quotes."""
    lines = [",".join("" if field is None else quoted(field) for field in row) for row in rows]
    return "".join(line + "\n" for line in lines).encode()


def quoted(field):
    if field == "" or any(char in field for char in '",\n'):
        return '"' + field.replace('"', '""') + '"'
    return field


def pieces(data, draw):
    while data:
        cut = draw(st.integers(1, len(data)))
        yield data[:cut]
        data = data[cut:]


def digest_of(form, stream, draw):
    digester = Digester(form)
    for piece in pieces(stream, draw):
        digester.feed(piece)
    return digester.finish()


@given(rows, st.data())
def test_csv_records_are_counted_as_a_csv_reader_counts_them(rows, data):
    stream = b'a,"b ""x""\nc"\n' + as_csv(rows)
    found = digest_of("csv", stream, data.draw)
    read = list(csv.reader(io.StringIO(stream.decode(), newline="")))
    assert found.items == len(read) - 1 == len(rows)
    assert found.header == 'a,"b ""x""\nc"'


@given(st.lists(st.binary().map(lambda line: line.replace(b"\n", b" "))), st.data())
def test_json_records_are_lines_whatever_stands_in_them(lines, data):
    stream = b"".join(line + b"\n" for line in lines)
    found = digest_of("jsonl", stream, data.draw)
    assert (found.items, found.header, found.raw_bytes) == (len(lines), "", len(stream))


@pytest.mark.parametrize(
    ("form", "stream"), [("csv", b"a,b\n1"), ("csv", b'a\n"x\n'), ("csv", b""), ("jsonl", b'{"a":1}')]
)
def test_a_stream_that_ends_inside_a_record_is_an_error(form, stream):
    digester = Digester(form)
    digester.feed(stream)
    with pytest.raises(ArchiveError, match="in the middle of a record"):
        digester.finish()


@given(rows, st.data())
def test_the_digest_does_not_depend_on_how_the_stream_arrives(rows, data):
    stream = b"a,b\n" + as_csv(rows)
    whole, cut = Digester("csv"), Digester("csv")
    whole.feed(stream)
    for piece in pieces(stream, data.draw):
        cut.feed(piece)
    assert whole.finish() == cut.finish()


def test_the_digest_tells_header_records_and_hashes():
    digester = Digester("csv")
    stream = b"id,note\n" + b"".join(b"%06d,x\n" % number for number in range(10_000))
    digester.feed(stream)
    found = digester.finish()
    left, right = (hashlib.sha256(b"\0" + leaf).digest() for leaf in (stream[:LEAF], stream[LEAF:]))
    assert found.root == hashlib.sha256(b"\1" + left + right).hexdigest()
    assert (found.items, found.header, found.raw_bytes) == (10_000, "id,note", len(stream))
    assert found.raw_sha256 == hashlib.sha256(stream).hexdigest()


def test_memory_is_flat_for_a_long_stream():
    import tracemalloc

    digester = Digester("csv")
    block = b'1,"a\nb",c\n' * 6000
    digester.feed(b"a,b,c\n" + block)
    tracemalloc.start()
    for _ in range(50):
        digester.feed(block)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
