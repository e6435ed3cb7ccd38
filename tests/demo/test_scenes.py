"""The plan of a video: its scenes and the sounds planted wrong."""

import itertools

import numpy as np
import pytest

from vatt_gh.demo.scenes import (
    COLOURS,
    MOTIONS,
    SHAPES,
    draw_id,
    draw_scenes,
    video_generator,
)

SHORTEST, LONGEST = 4.0, 8.0


def _many(sound_noise, videos=300):
    return [
        draw_scenes(video_generator(1, k), 20.0 + k % 21, sound_noise, SHORTEST, LONGEST)
        for k in range(videos)
    ]


@pytest.mark.parametrize("seconds", [4.0, 7.9, 8.0, 8.1, 9.0, 12.1, 16.1, 20.0, 29.7, 40.0])
def test_scenes_fill_the_video_and_last_four_to_eight_seconds(seconds):
    for k in range(40):
        scenes = draw_scenes(video_generator(0, k), seconds, 0.3, SHORTEST, LONGEST)
        assert (scenes[0].start, scenes[-1].end) == (0.0, seconds)
        for scene in scenes:
            assert SHORTEST <= round(scene.end - scene.start, 2) <= LONGEST
        for before, after in itertools.pairwise(scenes):
            assert before.end == after.start
            assert before.shape != after.shape


@pytest.mark.parametrize("seconds", [1.6, 3.2, 3.3, 4.9, 9.6, 20.0])
def test_scenes_are_as_short_as_wanted(seconds):
    for k in range(40):
        scenes = draw_scenes(video_generator(0, k), seconds, 0.3, 1.6, 3.2)
        assert (scenes[0].start, scenes[-1].end) == (0.0, seconds)
        assert all(1.6 <= round(scene.end - scene.start, 2) <= 3.2 for scene in scenes)


def test_a_video_shorter_than_a_scene_is_one_scene():
    (scene,) = draw_scenes(video_generator(0, 0), 2.5, 0.0, SHORTEST, LONGEST)
    assert (scene.start, scene.end) == (0.0, 2.5)


def test_every_attribute_occurs_about_equally_often():
    scenes = [scene for video in _many(0.0) for scene in video]
    for values, seen in (
        (SHAPES, [scene.shape for scene in scenes]),
        (COLOURS, [scene.colour for scene in scenes]),
        (MOTIONS, [scene.motion for scene in scenes]),
    ):
        shares = np.array([seen.count(value) for value in values]) / len(scenes) * len(values)
        assert shares == pytest.approx(np.ones(len(values)), abs=0.3)


@pytest.mark.parametrize("noise", [0.0, 0.25, 0.6, 1.0])
def test_share_of_wrong_sounds_is_the_argument(noise):
    scenes = [scene for video in _many(noise) for scene in video]
    wrong = [scene for scene in scenes if not scene.sound_aligned]
    assert len(wrong) / len(scenes) == pytest.approx(noise, abs=0.05 if 0 < noise < 1 else 0)
    assert all(scene.sound_shape != scene.shape for scene in wrong)


def test_ids_are_the_generator_s_and_differ():
    ids = [draw_id(video_generator(3, k)) for k in range(200)]
    assert len(set(ids)) == 200
    assert {len(name) for name in ids} == {11}
    assert ids == [draw_id(video_generator(3, k)) for k in range(200)]
    assert not set(ids) & {draw_id(video_generator(4, k)) for k in range(200)}
