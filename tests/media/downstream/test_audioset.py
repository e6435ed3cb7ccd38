"""AudioSet: finding a segment's file by name and duration; damaged csv files."""

import pytest
from dummy_data import sound, text, video

from vatt_gh.media.downstream.audioset import list_clips

NAME = "-0RWZT-miFs"
HEADER = "# YTID, start_seconds, end_seconds, positive_labels"


@pytest.fixture
def library(pristine, tmp_path):
    """Makes a directory with one segment of NAME."""
    classes = (pristine("audioset") / "class_labels_indices.csv").read_text()

    def give(start=30.0, end=32.0, name=NAME):
        directory = tmp_path / "one"
        text(directory / "class_labels_indices.csv", classes.rstrip("\n"))
        row = f'{name}, {start:.3f}, {end:.3f}, "/m/09x0r,/m/05fw6t"'
        text(directory / "eval_segments.csv", HEADER, row)
        return directory

    return give


def empty(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"no sound, and nobody listens")
    return path


def test_the_official_lists(pristine):
    listing = list_clips(pristine("audioset"))
    assert listing.class_names == ["Speech", "Dog", "Children, playing"]
    assert {clip.id: (clip.splits, clip.labels) for clip in listing.clips} == {
        "-0RWZT-miFs_2000": (("unbalanced_train",), (0,)),
        "_zLzFtLN1gA_30000": (("unbalanced_train",), (0, 1)),
        "dQw4w9WgXcQ_420000": (("balanced_train",), (1,)),
        "Yabcdefghi__50000": (("balanced_train",), (1,)),
        "7lpqOLbz8j-_0": (("eval",), (0,)),
        "0sf943sWZls_90000": (("eval",), (0,)),
    }


def test_one_list_is_enough(copied):
    directory = copied("audioset")
    for name in ("unbalanced_train", "balanced_train"):
        (directory / f"{name}_segments.csv").unlink()
    listing = list_clips(directory)
    assert [clip.id for clip in listing.clips] == ["7lpqOLbz8j-_0", "0sf943sWZls_90000"]
    assert {row["reason"] for row in listing.skipped} == {"is in no annotation file"}
    assert len(listing.skipped) == 4


@pytest.mark.parametrize(
    "name",
    [
        f"{NAME}_30.wav",
        f"{NAME}_30.000.wav",
        f"{NAME}_000030.mp4",
        f"{NAME}_30000.flac",
        f"{NAME}_30_32.webm",
        f"{NAME}_30.000_32.000.wav",
        f"{NAME}_30000_32000.m4a",
        f"{NAME}_30-32.wav",
        f"{NAME}_30.4.wav",
        f"Y{NAME}.wav",
        f"Y{NAME}_30.000_32.000.wav",
        f"any/depth/{NAME}_30.MP4",
    ],
)
def test_names_of_pieces(library, name):
    directory = library()
    path = empty(directory / name)
    listing = list_clips(directory)
    (clip,) = listing.clips
    assert (clip.id, clip.path, clip.start, clip.end) == (f"{NAME}_30000", path, None, None)
    assert (clip.labels, clip.splits) == ((0, 2), ("eval",))
    assert listing.skipped == []


@pytest.mark.parametrize("name", [f"{NAME}_31.wav", f"{NAME}_3000.wav", f"{NAME}_300000.wav"])
def test_pieces_of_another_time_are_not_taken(library, name):
    directory = library()
    path = empty(directory / name)
    listing = list_clips(directory)
    assert listing.clips == []
    assert listing.skipped == [
        {"id": f"{NAME}_30000", "reason": "has no media file"},
        {"path": str(path), "reason": "is in no annotation file"},
    ]


@pytest.mark.parametrize(
    ("start", "seconds", "times"),
    [
        (2.0, 4, (2.0, 4.0)),  # the whole video
        (2.0, 6, (2.0, 4.0)),
        (1.0, 3, (1.0, 3.0)),
        (30.0, 2, (None, None)),  # only the piece
        (2.0, 2, (None, None)),
        (1.0, 2, (None, None)),
        (3.0, 1, (None, None)),
        (30.0, 4, (30.0, 32.0)),  # neither: the reader will report it
        (0.0, 2, (0.0, 2.0)),  # the same
    ],
)
@pytest.mark.parametrize("name", [f"{NAME}.mp4", f"Title [{NAME}].wav"])
def test_the_duration_tells_the_whole_video_from_the_piece(library, name, start, seconds, times):
    directory = library(start, start + 2)
    write = video if name.endswith("mp4") else sound
    write(directory / name, seconds)
    (clip,) = list_clips(directory).clips
    assert (clip.start, clip.end) == times


def test_what_cannot_be_opened_counts_as_the_whole_video(library):
    directory = library()
    empty(directory / f"{NAME}.mp4")
    (clip,) = list_clips(directory).clips
    assert (clip.start, clip.end) == (30.0, 32.0)


def test_names_that_can_be_read_in_two_ways(library):
    # With and without a Y before the id.
    directory = library(5, 7, name="Yabcdefghij")
    path = empty(directory / "Yabcdefghij_5_7.wav")
    assert [clip.path for clip in list_clips(directory).clips] == [path]
    directory = library(5, 7, name="abcdefghijk")
    path = empty(directory / "Yabcdefghijk_5.wav")
    assert [clip.path for clip in list_clips(directory).clips] == [path]


def test_video_is_taken_before_sound_and_the_piece_before_the_whole(library):
    directory = library()
    names = [f"{NAME}_30.webm", f"{NAME}.mp4", f"{NAME}_30.wav", f"{NAME}.flac"]
    paths = [empty(directory / name) for name in names]
    while paths:
        listing = list_clips(directory)
        assert [clip.path for clip in listing.clips] == paths[:1]
        reason = f"is not needed: {NAME}_30000 is taken from {paths[0]}"
        assert listing.skipped == [{"path": str(p), "reason": reason} for p in paths[1:]]
        paths.pop(0).unlink()


def test_damaged_rows(copied):
    directory = copied("audioset")
    before = list_clips(directory)
    with open(directory / "eval_segments.csv", "a") as file:
        file.write('0sf943sWZls, 90.000, 92.000, "/m/0bt9lr"\n')
        file.write('aaaaaaaaaaa, 30.000, 40.000, "/m/unknown"\n')
        file.write('bbbbbbbbbbb, 30.000, 20.000, "/m/0bt9lr"\n')
        file.write('ccccccccccc, 30.000, nan, "/m/0bt9lr"\n')
        file.write("ddddddddddd, 30.000\n")
        file.write('eeeeeeeeeee, 30.000, 40.000, "/m/0bt9lr\n')  # the quote does not end
        file.write('\nfffffffffff, 30.000, 40.000, "/m/0bt9lr"\n')
    after = list_clips(directory)
    assert after.clips == before.clips
    assert [(row["id"], row["reason"][:20]) for row in after.skipped] == [
        ("0sf943sWZls_90000", "is listed again: eva"),
        ("aaaaaaaaaaa", "eval_segments.csv ha"),
        ("bbbbbbbbbbb", "is from 30.0 s to 20"),
        ("ccccccccccc", "is from 30.0 s to na"),
        ("ddddddddddd", "eval_segments.csv ha"),
        ("eeeeeeeeeee_30000", "has no media file"),
        ("fffffffffff_30000", "has no media file"),
    ]
