"""Messages and proofs as bytes, without a socket.

What is encoded is decoded, and malformed bytes are refused.
"""

import json
import os

import numpy as np
import pytest

from workbench.system import memory

pytest.importorskip("distributed")
from workbench.engine.dask.handshake import (
    NONCE_BYTES,
    PROOF_BYTES,
    RESPONSE_BYTES,
    CallerHandshake,
    HostHandshake,
)
from workbench.engine.dask.protocol import (
    HEADER,
    MAX_FILES,
    MAX_HEAD_BYTES,
    Outgoing,
    ProtocolError,
    Session,
)
from workbench.engine.dask.shared_memory import Segment

TOKEN = b"t" * 32
FLOATS = 1 << 16


def decode(session, outgoing):
    """The message that a session makes of the bytes and files of another one.

    EOFError if they end too early.
    """
    data = outgoing.head + b"".join(array.tobytes() for array in outgoing.arrays)
    reading = session.decode()
    part = next(reading)
    answer = [
        os.dup(file) for file in outgoing.files
    ]  # as a socket gives the receiver files of its own
    try:
        while True:
            if len(part) > len(data):
                raise EOFError
            part[:] = data[: len(part)]
            data = data[len(part) :]
            part = reading.send(answer)
            answer = ()
    except StopIteration as end:
        assert not data
        return end.value


def raw(head, arrays=()):
    """A message with a head that no session would make."""
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return Outgoing(HEADER.pack(len(text), 0) + text, [], list(arrays))


def test_a_message_is_decoded_as_it_was_encoded():
    """Arrays arrive with their bits, each once however often the message has it."""
    x = np.arange(12.0).reshape(3, 4)
    outgoing = Session(False).encode({"x": x, "again": [x], "n": (1, "two")})
    assert len(outgoing.arrays) == 1
    found = decode(Session(False), outgoing)
    assert np.array_equal(found["x"], x)
    assert found["again"][0] is found["x"]
    assert found["n"] == (1, "two")


def test_a_shared_array_is_not_sent_and_its_file_only_once():
    """Its segment's file comes with the first message; later ones only name place and lease."""
    here = Session(True)
    there = Session(True)
    x = memory.Pool(Segment).floats(FLOATS)
    x[:] = 3
    first = here.encode(x)
    second = here.encode(x[5:])
    assert [len(first.files), len(second.files)] == [1, 0]
    assert first.arrays == second.arrays == []

    found = decode(there, first)
    tail = decode(there, second)
    assert np.array_equal(found, x)
    assert np.array_equal(tail, x[5:])
    assert sorted(here.lent) == [0, 1]
    del found
    decode(here, there.encode("the first lease has ended"))
    assert sorted(here.lent) == [1]
    assert np.array_equal(tail, x[5:])


@pytest.mark.parametrize("size", [0, 3, HEADER.size, HEADER.size + 5, -1])
def test_a_truncated_message_is_no_message(size):
    """Wherever the bytes end, no message comes out."""
    outgoing = Session(False).encode(["text", np.arange(5)])
    data = outgoing.head + outgoing.arrays[0].tobytes()
    with pytest.raises(EOFError):
        decode(Session(False), Outgoing(data[:size], [], []))


@pytest.mark.parametrize(
    "header",
    [HEADER.pack(MAX_HEAD_BYTES + 1, 0), HEADER.pack(2, 1), b"GET /  HTTP"[: HEADER.size]],
)
def test_a_malformed_header_is_refused(header):
    """So are a head that is too long, and another number of files than came."""
    with pytest.raises(ProtocolError, match="malformed header"):
        decode(Session(True), Outgoing(header, [], []))


def nested(depth: int) -> str:
    """A list in a list, and so on, as JSON."""
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    "head",
    [
        b"{",
        b"\xff\xfe",
        [1, 2],
        b"[" * 100_000,
        f"[{nested(5000)}, [], [], []]".encode(),
        None,
        ["message", [["<f4", [2]]], [], []],
        ["message", [["no type", [2], True]], [], []],
        ["message", [["|O", [2], True]], [], []],
        ["message", [["<f4", [-2], True]], [], []],
        ["message", [["<f4", [1.5], True]], [], []],
        ["message", [["<f4", "2", True]], [], []],
        ["message", [["(2,2)<f4", [2], True]], [], []],
        ["message", [["|V0", [2], True]], [], []],
        ["message", [["<f4,1 2", [2], True]], [], []],
        ["message", [["<f4", [2], 7, 0, 0, 0]], [], []],
        ["message", [["<f4", [2], 7, 4096, 0, 0]], [], []],
    ],
)
def test_a_malformed_head_is_refused(head):
    """JSON of another form, arrays that cannot be, and segments that were never handed over."""
    with pytest.raises(ProtocolError, match="malformed head"):
        decode(Session(True), raw(head))


def test_a_message_nested_deeply_is_read_or_refused():
    """From Python 3.12 on a comprehension takes no frame of its own, so more levels can be read."""
    head = f"[{nested(700)}, [], [], []]".encode()
    try:
        found = json.dumps(decode(Session(True), raw(head)))
    except ProtocolError as refusal:
        found = str(refusal)
    assert found == nested(700) or "malformed head" in found


def test_an_array_outside_its_segment_is_refused():
    """A place beyond the end of a segment is never read."""
    here = Session(True)
    there = Session(True)
    x = memory.Pool(Segment).floats(FLOATS)
    keep = decode(there, here.encode(x))
    assert keep.size == FLOATS
    for offset in (-4, 1 << 30):
        with pytest.raises(ProtocolError, match="outside its segment"):
            decode(there, raw([{"array": 0}, [["<f4", [1], 0, 0, offset, 9]], [], []]))
    number = next(iter(there.mapped))
    with pytest.raises(ProtocolError, match="outside its segment"):
        decode(there, raw([{"array": 0}, [["<f4", [1 << 40], number, 0, 0, 9]], [], []]))


def test_files_of_a_refused_message_are_closed():
    """A message with more files than its header says leaves none of them open."""
    reading = Session(True).decode()
    next(reading)[:] = HEADER.pack(2, 0)
    file = os.memfd_create("test")
    with pytest.raises(ProtocolError):
        reading.send([file])
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file)


def test_what_cannot_travel_is_refused_before_anything_is_lent():
    """Arrays of objects, and messages that are too long, raise TypeError at the sender."""
    session = Session(True)
    x = memory.Pool(Segment).floats(FLOATS)
    with pytest.raises(TypeError, match="arrays of objects"):
        session.encode([x, np.array([None])])
    assert session.lent == {}
    with pytest.raises(TypeError, match="is too long"):
        session.encode("x" * MAX_HEAD_BYTES)
    with pytest.raises(TypeError, match="is too long"):
        session.encode([memory.Pool(Segment).floats(FLOATS) for _ in range(MAX_FILES + 1)])


def test_a_handshake_proves_both_sides():
    """Who knows the token is believed by the other side."""
    host = HostHandshake(TOKEN)
    caller = CallerHandshake(TOKEN, host.nonce)
    assert (len(host.nonce), len(caller.response)) == (NONCE_BYTES, RESPONSE_BYTES)
    proof = host.proof_for(caller.response)
    assert len(proof) == PROOF_BYTES
    caller.check(proof)


def test_a_wrong_token_is_refused_by_both_sides():
    """Another token or nonce, a truncated response and one's own proof are all refused."""
    host = HostHandshake(TOKEN)
    stranger = CallerHandshake(b"x" * 32, host.nonce)
    caller = CallerHandshake(TOKEN, host.nonce)
    for response in (stranger.response, caller.response[:-1], b"", bytes(RESPONSE_BYTES)):
        with pytest.raises(ProtocolError, match="does not know the run's token"):
            host.proof_for(response)
    with pytest.raises(ProtocolError):
        HostHandshake(TOKEN).proof_for(caller.response)  # a replay
    for proof in (caller.response[NONCE_BYTES:], bytes(PROOF_BYTES), b""):
        with pytest.raises(ProtocolError, match="does not know the run's token"):
            caller.check(proof)
