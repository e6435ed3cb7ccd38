"""Files that are damaged in places, or cut off."""

import dataclasses

import av
import pytest
from media.test_odd_media import FORM, RATE, read, write
from media_files import tone, write_media

from vatt_gh.media.form import WHOLE, MediaError, Span
from vatt_gh.media.notes import Notes
from vatt_gh.media.probe import Look, look
from vatt_gh.media.video import read_segments


def spoilt(path, kind, numbers):
    """Overwrites the bytes of some packets of a stream."""
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as file:
        packets = [p for p in file.demux(getattr(file.streams, kind)[0]) if p.size]
        for number in numbers:
            packet = packets[number]
            data[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    path.write_bytes(data)
    return path


def test_a_damaged_packet_is_skipped_and_counted_and_many_are_too_many(tmp_path):
    for kind, what in (("video", "its pictures are"), ("audio", "its sound is")):
        path = spoilt(write(tmp_path / f"{kind}.mp4", 30.0, sound_codec="aac"), kind, [150])
        (segment,), remarks = read(path)
        assert segment.count == 300
        assert segment.has_audio
        (remark,) = remarks
        assert remark.startswith(f"{what} damaged in places: 1 of ")
        (part,), remarks = read(path, span=Span(10.0, 25.0))
        assert (part.count, len(remarks)) == (150, 1)
    path = spoilt(write(tmp_path / "p.mp4", 30.0, sound_codec="aac"), "video", range(100, 140))
    with pytest.raises(MediaError, match=r"is damaged: [0-9]+ of [0-9]+ packets cannot be decoded"):
        read(path)
    read(path, dataclasses.replace(FORM, damaged_share=0.5))
    path = spoilt(write(tmp_path / "s.mp4", 30.0, sound_codec="aac"), "audio", range(100, 140))
    (segment,), remarks = read(path)  # a broken sound packet never loses pictures
    assert segment.count == 300
    assert remarks[-1].startswith("its sound is damaged: ")
    assert remarks[-1].endswith("packets cannot be decoded and was left out")


def test_damage_at_the_beginning_counts_too(tmp_path):
    path = spoilt(write(tmp_path / "half.mp4", 8.0, sound_codec="aac"), "video", range(40))
    with pytest.raises(MediaError, match="is damaged: 40 of 80 packets cannot be decoded"):
        read(path)
    path = spoilt(write(tmp_path / "one.mp4", 20.0, sound_codec="aac"), "video", [0])
    assert isinstance(look(path, WHOLE, FORM), Look)
    for share in (0.5, 1.0):
        path = write(tmp_path / "sound.mp4", 8.0, sound_codec="aac")
        with av.open(str(path)) as file:
            count = sum(1 for p in file.demux(file.streams.audio[0]) if p.size)
        path = spoilt(path, "audio", range(int(share * count)))
        notes = Notes()
        (segment,) = read_segments(path, FORM, notes)
        assert segment.count == 80
        assert notes.sound.problem().startswith("its sound is damaged: ")


def test_a_wav_file_that_is_cut_off_says_so(tmp_path):
    path = write_media(tmp_path / "v.wav", sound=[(0.0, tone(60.0, RATE))])
    data = path.read_bytes()
    path.write_bytes(data[: 44 + 20 * RATE * 2 + 34])
    segments, remarks = read(path)
    assert abs(segments[-1].end - 20.0) < 0.1
    assert remarks == ["has 20.0 of the 60.0 s that its header promises"]
