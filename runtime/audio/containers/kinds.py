"""Kinds of audio files, told by their first bytes and not by their names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgespeech.runtime.audio.containers.mpeg_frames import adts_frames, mpeg_frames

SNIFFED_BYTES = 8192
READABLE = "WAV, FLAC, OGG, Opus or MP3"


@dataclass(frozen=True)
class Container:
    """A kind of file.

    Attributes:
        name: What people call it.
        layout: How `find_layout` divides it into parts; empty if it is one.
        foreign: Name of FFmpeg's demuxer; empty if only libsndfile is asked.
        native: Whether libsndfile is asked first.
    """

    name: str
    layout: str = ""
    foreign: str = ""
    native: bool = True


WAV = Container("WAV", "chunks", "wav")
W64 = Container("W64", "chunks", "w64")
AIFF = Container("AIFF", "chunks", "aiff")
CAF = Container("CAF", "chunks", "caf")
SVX = Container("SVX", "chunks")
AU = Container("AU", "au", "au")
FLAC = Container("FLAC", "flac", "flac")
OGG = Container("Ogg", "ogg", "ogg")
MPEG = Container("MP3", "mpeg", "mp3")
OTHER = Container("audio")  # of the kinds that libsndfile knows and this module does not

_MP4 = Container("MP4 (M4A, MOV, 3GP)", foreign="mov", native=False)
_MATROSKA = Container("Matroska (WebM, MKV)", foreign="matroska", native=False)
_ASF = Container("ASF (WMA, WMV)", foreign="asf", native=False)
_AAC = Container("AAC", foreign="aac", native=False)
_AMR = Container("AMR", foreign="amr", native=False)
_TS = Container("MPEG transport stream", foreign="mpegts", native=False)
_AVI = Container("AVI", foreign="avi", native=False)

# Those without a number of bytes of their own are tested in this order.
_BY_FIRST_BYTES: tuple[tuple[bytes, Container], ...] = (
    (b"riff\x2e\x91\xcf\x11", W64),
    (b"fLaC", FLAC),
    (b"OggS", OGG),
    (b".snd", AU),
    (b"caff\x00\x01", CAF),
    (b"NIST_1A\n", Container("NIST Sphere", "nist")),
    (b"Creative Voice File\x1a", Container("VOC", "voc")),
    (b"2BIT", Container("AVR", "avr")),
    (b"ALawSoundFile**", Container("Psion WVE", "psion")),
    (b"MATLAB 5.0 MAT-file", Container("MATLAB", "mat5")),
    (b"\0\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\x0b\0\0\0samplerate", Container("MATLAB", "mat4")),
    (b"\0\0\x03\xe8\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\x0bsamplerate", Container("MATLAB", "mat4")),
    (b"\x1aE\xdf\xa3", _MATROSKA),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", _ASF),
    (b"#!AMR", _AMR),
    (b"FLV\x01", Container("Flash video", foreign="flv", native=False)),
    (b"\x00\x00\x01\xba", Container("MPEG program stream", foreign="mpeg", native=False)),
    (b"wvpk", Container("WavPack", foreign="wv", native=False)),
    (b"MAC ", Container("Monkey's Audio", foreign="ape", native=False)),
    (b"ADIF", _AAC),
)
_NOT_AUDIO = (
    (b"%PDF-", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b\x08", "compressed by gzip"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
)
_MP4_ATOMS = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}
_PICTURE_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"avif", b"avis"}
_CHUNK_FORMS = {b"WAVE": WAV, b"AVI ": _AVI, b"AIFF": AIFF, b"AIFC": AIFF, b"8SVX": SVX, b"16SV": SVX}


def recognise(head: bytes) -> Container | None:
    """Return the kind of a file from its first `SNIFFED_BYTES`, or None for raw samples, text and anything else."""
    for first, container in _BY_FIRST_BYTES:
        if head.startswith(first):
            return container
    if head[:4] in {b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM"}:
        return _CHUNK_FORMS.get(head[8:12])
    if head[:3] == b"ID3":
        return _behind_id3(head)
    if head[4:8] in _MP4_ATOMS:
        return None if _is_picture(head) else _MP4
    return next((container for holds, container in _BY_STRUCTURE if holds(head)), None)


def not_audio(head: bytes) -> str | None:
    """Return what people call a file that cannot be audio; None for anything that can be samples."""
    found = next((name for first, name in _NOT_AUDIO if head.startswith(first)), None)
    return found or ("a picture" if _is_picture(head) else "text" if _is_text(head) else None)


def _is_picture(head: bytes) -> bool:
    """Decide whether an MP4 container holds a picture, as phones make them (HEIC, AVIF)."""
    return head[4:8] == b"ftyp" and head[8:12] in _PICTURE_BRANDS


def _is_text(head: bytes) -> bool:
    """Decide whether bytes are UTF-8 without control characters, which samples never are for long."""
    try:
        text = head[:-3].decode("utf-8-sig") if len(head) > 3 else ""
    except UnicodeDecodeError as error:
        if error.end < len(head) - 3:
            return False
        text = head[: error.start].decode("utf-8-sig")
    return len(text) >= 16 and all(letter.isprintable() or letter in "\t\n\r\f" for letter in text)


def id3_length(head: bytes) -> int:
    """Return the length of the ID3v2 tag that bytes begin with, 0 if they begin with none."""
    if len(head) < 10 or head[:3] != b"ID3" or max(head[6:10]) > 127:
        return 0
    length = 0
    for byte in head[6:10]:
        length = length << 7 | byte
    return 10 + length + (10 if head[5] & 0x10 else 0)


def _behind_id3(head: bytes) -> Container:
    behind = head[id3_length(head) :]
    return FLAC if behind.startswith(b"fLaC") else _AAC if adts_frames(behind) else MPEG


def _transport_packets(head: bytes) -> bool:
    return len(head) > 3 * 188 and all(head[offset] == 0x47 for offset in range(0, 4 * 188, 188))


def _midi_dump(head: bytes) -> bool:
    return head[:2] == b"\xf0\x7e" and head[3:4] == b"\x01" and head[20:21] == b"\xf7"


def _mpc_sample(head: bytes) -> bool:
    name, level, stereo = head[2:19], head[19:20], head[21:22]
    return (
        head[:2] == b"\x01\x04"
        and name.isascii()
        and name.decode("ascii").isprintable()
        and (level <= b"\xc8" and stereo in (b"\0", b"\x01") and len(head) > 42)
    )


_BY_STRUCTURE: tuple[tuple[Callable[[bytes], bool], Container], ...] = (
    (mpeg_frames, MPEG),
    (adts_frames, _AAC),
    (_transport_packets, _TS),
    (_midi_dump, Container("MIDI sample dump", "sds")),
    (_mpc_sample, Container("MPC 2000 sample", "mpc")),
)
