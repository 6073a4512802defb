"""The speech synthesiser, alone in a process: JSON lines in, JSON lines and raw samples out.

eSpeak NG is licensed under GPL-3.0-or-later; no other part of the package imports this module or
the library that it loads. ``speech.py`` starts it as a program, once for each shard, because the
library keeps state that leaks from one utterance into the next. Requests are one JSON object a
line:

    {"do": "open", "data": FOLDER | null, "seed": N}
        -> {"version": "1.52.0", "rate": 22050}
    {"do": "pronounce", "voice": "is", "texts": [TEXT, ...]}
        -> {"phones": ["m_n_e_m_o_n_i_c_s w_o_r_d", ...]}
    {"do": "say", "voice": "is+x", "text": TEXT, "rate": words/min, "pitch": 0-100, "range": 0-100}
        -> {"samples": N, "events": [[mnemonic, sample], ...]} and then N little-endian int16
    anything that fails
        -> {"error": MESSAGE}
"""

import ctypes
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

# Names of speak_lib.h.
AUDIO_OUTPUT_SYNCHRONOUS = 2
INITIALIZE_PHONEME_EVENTS = 0x0001
INITIALIZE_DONT_EXIT = 0x8000
CHARS_UTF8 = 0x0001
PHONEMES = 0x0100  # text may hold [[mnemonics]]
POSITION_CHARACTER = 1
EVENT_LIST_TERMINATED = 0
EVENT_PHONEME = 7
PARAMETER_RATE = 1
PARAMETER_PITCH = 3
PARAMETER_RANGE = 4

SEPARATOR = ord("_") << 8  # written between the mnemonics of a word


class EventId(ctypes.Union):
    """What an event is about: a number, or the mnemonic of a phone."""

    _fields_ = [
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    ]


class Event(ctypes.Structure):
    """One espeak_EVENT of speak_lib.h."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", EventId),
    ]


CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(Event))


class Engine:
    """The library, opened once; not safe for threads.

    It is reproducible only for the same sequence of calls.
    """

    def __init__(self, data: str | None, seed: int):
        import espeakng_loader

        folder = data or str(Path(espeakng_loader.get_data_path()).parent)
        library = ctypes.CDLL(espeakng_loader.get_library_path())
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        library.espeak_TextToPhonemes.argtypes = [
            ctypes.POINTER(ctypes.c_char_p),
            ctypes.c_int,
            ctypes.c_int,
        ]
        library.espeak_Info.restype = ctypes.c_char_p

        self._library = library
        options = INITIALIZE_PHONEME_EVENTS | INITIALIZE_DONT_EXIT
        self.rate: int = library.espeak_Initialize(
            AUDIO_OUTPUT_SYNCHRONOUS, 0, folder.encode(), options
        )
        if self.rate <= 0:
            raise RuntimeError(f"espeak_Initialize gave {self.rate} for {folder}")
        self.version: str = library.espeak_Info(None).decode().split()[0]

        self._pcm: list[bytes] = []
        self._events: list[tuple[str, int]] = []
        # Kept, or it would be collected while the library still calls it.
        self._callback = CALLBACK(self._receive)
        library.espeak_SetSynthCallback(self._callback)
        library.espeak_ng_SetRandSeed(ctypes.c_long(seed))

    def pronounce(self, text: str, voice: str) -> str:
        """Return the mnemonics of ``text``: phones separated by "_", words by spaces."""
        self._set_voice(voice)
        buffer = ctypes.create_string_buffer(text.encode())
        position = ctypes.c_char_p(ctypes.addressof(buffer))
        clauses: list[str] = []
        while position.value:
            clause = self._library.espeak_TextToPhonemes(
                ctypes.byref(position), CHARS_UTF8, SEPARATOR
            )
            clauses.append(clause.decode())
        return " ".join(clauses)

    def say(
        self, text: str, voice: str, rate: int, pitch: int, range: int
    ) -> tuple[bytes, list[tuple[str, int]]]:
        """Return int16 samples of ``text``, and mnemonic and first sample of every sound."""
        self._set_voice(voice)
        self._library.espeak_SetParameter(PARAMETER_RATE, rate, 0)
        self._library.espeak_SetParameter(PARAMETER_PITCH, pitch, 0)
        self._library.espeak_SetParameter(PARAMETER_RANGE, range, 0)

        self._pcm = []
        self._events = []
        data = text.encode()
        status = self._library.espeak_Synth(
            data,
            ctypes.c_size_t(len(data) + 1),
            0,
            POSITION_CHARACTER,
            0,
            CHARS_UTF8 | PHONEMES,
            None,
            None,
        )
        if status != 0:
            raise RuntimeError(f"espeak_Synth gave {status} for {text!r}")
        return b"".join(self._pcm), self._events

    def _set_voice(self, voice: str) -> None:
        status = self._library.espeak_SetVoiceByName(voice.encode())
        if status != 0:
            raise RuntimeError(f"espeak_SetVoiceByName gave {status} for {voice!r}")

    def _receive(self, samples: int | None, count: int, events: Any) -> int:
        """Keep a piece of speech; the library calls this, and continues if it returns 0."""
        if samples and count > 0:
            self._pcm.append(ctypes.string_at(samples, 2 * count))
        i = 0
        while events[i].type != EVENT_LIST_TERMINATED:
            if events[i].type == EVENT_PHONEME:
                mnemonic = events[i].id.string.decode("utf-8", "replace")
                self._events.append((mnemonic, events[i].sample))
            i += 1
        return 0


def serve(lines: Iterable[str], out: BinaryIO) -> None:
    """Answer every request of ``lines`` on the binary stream ``out``."""
    engine: Engine | None = None
    for line in lines:
        request = json.loads(line)
        pcm = b""
        try:
            if request["do"] == "open":
                engine = Engine(request["data"], request["seed"])
                answer = {"version": engine.version, "rate": engine.rate}
            elif engine is None:
                raise RuntimeError("the first request must be to open the library")
            elif request["do"] == "pronounce":
                phones = [engine.pronounce(text, request["voice"]) for text in request["texts"]]
                answer = {"phones": phones}
            else:
                pcm, events = engine.say(
                    request["text"],
                    request["voice"],
                    request["rate"],
                    request["pitch"],
                    request["range"],
                )
                answer = {"samples": len(pcm) // 2, "events": events}
        except (OSError, RuntimeError, ImportError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        out.write(json.dumps(answer).encode() + b"\n" + pcm)
        out.flush()


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout.buffer)
