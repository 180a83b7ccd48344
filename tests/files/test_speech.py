"""Voice clips: through the real process; with the extra installed, also through a real model."""

import math
import os
import struct
import wave
from io import BytesIO
from pathlib import Path

import pytest

from bot.files.found import Trouble, Unreadable
from bot.files.kinds import Kind, find_kind
from bot.files.reader import FileReader


def record(hertz: int) -> bytes:
    """Build two seconds of one tone as a WAV file."""
    packed = BytesIO()
    with wave.open(packed, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        tone = (int(16_000 * math.sin(2 * math.pi * hertz * at / 16_000)) for at in range(32_000))
        out.writeframes(b"".join(struct.pack("<h", value) for value in tone))
    return packed.getvalue()


async def test_a_recording_that_nobody_can_write_down_is_a_trouble(tmp_path: Path) -> None:
    """The process is really run, on a folder that holds no model: an answer comes, and nothing hangs."""
    recording = record(440)
    assert find_kind("clip.wav", "audio/wav", recording) is Kind.AUDIO
    with pytest.raises(Unreadable) as caught:
        await FileReader(tmp_path).read(Kind.AUDIO, recording)
    assert caught.value.trouble == Trouble.DAMAGED


def test_without_model_or_extra_it_does_not_hear(tmp_path: Path) -> None:
    """Then people are told what to install."""
    assert not FileReader(None).hears


@pytest.mark.skipif("SPEECH_TEST_MODEL" not in os.environ, reason="SPEECH_TEST_MODEL names no speech model")
async def test_a_real_model_writes_down() -> None:
    """Any Whisper model in CTranslate2's form, with the extra installed: text with times, or that nothing is said."""
    pytest.importorskip("faster_whisper")
    reader = FileReader(Path(os.environ["SPEECH_TEST_MODEL"]))
    assert reader.hears
    found = await reader.read(Kind.AUDIO, record(440))
    assert found.text.startswith("[0:00] ")
