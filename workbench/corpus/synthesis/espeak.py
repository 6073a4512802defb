"""The speech synthesiser, alone in a process of its own: JSON lines in, JSON lines and raw samples out.

eSpeak NG is licensed under GPL-3.0-or-later; nothing else of the package imports this module or the library it loads.
The program is started as ``python -m workbench.corpus.synthesis.espeak`` by ``speech.py``, once for each shard, because
the library keeps state that leaks from one utterance into the next. Requests, one JSON object a line:

    {"do": "open", "data": FOLDER | null, "seed": N}              -> {"version": "1.52.0", "rate": 22050}
    {"do": "pronounce", "voice": "is", "texts": [TEXT, ...]}      -> {"phones": ["m_n_e_m_o_n_i_c_s w_o_r_d", ...]}
    {"do": "say", "voice": "is+x", "text": TEXT, "spelled": BOOL, "rate": words/min, "pitch": 0-100, "range": 0-100}
                                       -> {"samples": N, "events": [[mnemonic, sample], ...]} and then N little-endian
                                       int16
    anything that fails                                           -> {"error": MESSAGE}
"""

import ctypes
import json
import sys
from pathlib import Path

SYNCHRONOUS, PHONEME_EVENTS, DO_NOT_EXIT, UTF8, SPELLED = 2, 0x0001, 0x8000, 0x0001, 0x0100
END_OF_LIST, PHONEME = 0, 7
RATE, PITCH, RANGE = 1, 3, 4
SEPARATOR = ord("_") << 8


class EventId(ctypes.Union):
    """What an event is about: a number, or a phone's mnemonic."""

    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


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


def serve(lines, out) -> None:
    """Answers every request of ``lines`` on the binary stream ``out``."""
    engine = None
    for line in lines:
        request = json.loads(line)
        try:
            if request["do"] == "open":
                engine = Engine(request["data"], request["seed"])
                answer, pcm = {"version": engine.version, "rate": engine.rate}, b""
            elif request["do"] == "pronounce":
                answer, pcm = (
                    {
                        "phones": [
                            engine.pronounce(text, request["voice"]) for text in request["texts"]
                        ]
                    },
                    b"",
                )
            else:
                pcm, events = engine.say(**{k: v for k, v in request.items() if k != "do"})
                answer = {"samples": len(pcm) // 2, "events": events}
        except (OSError, RuntimeError, ImportError) as error:
            answer, pcm = {"error": f"{type(error).__name__}: {error}"}, b""
        out.write(json.dumps(answer).encode() + b"\n" + pcm)
        out.flush()


class Engine:
    """The library, opened once; not safe for threads and not reproducible beyond one fixed sequence of calls."""

    def __init__(self, data: str | None, seed: int):
        import espeakng_loader

        self.library = library = ctypes.CDLL(espeakng_loader.get_library_path())
        folder = data or str(Path(espeakng_loader.get_data_path()).parent)
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        library.espeak_TextToPhonemes.argtypes = [
            ctypes.POINTER(ctypes.c_char_p),
            ctypes.c_int,
            ctypes.c_int,
        ]
        library.espeak_Info.restype = ctypes.c_char_p
        self.rate = library.espeak_Initialize(
            SYNCHRONOUS, 0, folder.encode(), PHONEME_EVENTS | DO_NOT_EXIT
        )
        if self.rate <= 0:
            raise RuntimeError(f"espeak_Initialize gave {self.rate} for {folder}")
        self.version = library.espeak_Info(None).decode().split()[0]
        self.pcm: list[bytes] = []
        self.events: list[tuple[str, int]] = []
        self.callback = CALLBACK(
            self._receive
        )  # kept, or it would be collected while the library still calls it
        library.espeak_SetSynthCallback(self.callback)
        library.espeak_ng_SetRandSeed(ctypes.c_long(seed))

    def pronounce(self, text: str, voice: str) -> str:
        """The mnemonics of ``text``: phones parted by "_", words by spaces."""
        self._voice(voice)
        buffer = ctypes.create_string_buffer(text.encode())
        position = ctypes.c_char_p(ctypes.addressof(buffer))
        clauses = []
        while position.value:
            clauses.append(
                self.library.espeak_TextToPhonemes(ctypes.byref(position), UTF8, SEPARATOR).decode()
            )
        return " ".join(clauses)

    def say(
        self, text: str, voice: str, spelled: bool, rate: int, pitch: int, range: int
    ) -> tuple[bytes, list]:
        """int16 samples, and (mnemonic, first sample) of every sound; ``spelled`` text may hold [[mnemonics]]."""
        self._voice(voice)
        for parameter, value in ((RATE, rate), (PITCH, pitch), (RANGE, range)):
            self.library.espeak_SetParameter(parameter, value, 0)
        self.pcm, self.events = [], []
        data = text.encode()
        flags = UTF8 | (SPELLED if spelled else 0)
        status = self.library.espeak_Synth(
            data, ctypes.c_size_t(len(data) + 1), 0, 1, 0, flags, None, None
        )
        if status != 0:
            raise RuntimeError(f"espeak_Synth gave {status} for {text!r}")
        return b"".join(self.pcm), self.events

    def _voice(self, voice: str) -> None:
        status = self.library.espeak_SetVoiceByName(voice.encode())
        if status != 0:
            raise RuntimeError(f"espeak_SetVoiceByName gave {status} for {voice!r}")

    def _receive(self, samples, count, events) -> int:
        if samples and count > 0:
            self.pcm.append(ctypes.string_at(samples, 2 * count))
        i = 0
        while events[i].type != END_OF_LIST:
            if events[i].type == PHONEME:
                self.events.append(
                    (events[i].id.string.decode("utf-8", "replace"), events[i].sample)
                )
            i += 1
        return 0


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout.buffer)
