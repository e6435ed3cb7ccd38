"""Captions: words express their claims, and times are like those of speech recognition."""

import itertools
import re

import numpy as np
import pytest

from vatt_gh.demo.narration import PHRASES, narrate, phrase
from vatt_gh.demo.scenes import COLOURS, MOTIONS, SHAPES, draw_scenes, video_generator


def _named(text, values):
    return {
        value
        for value in values
        if any(re.search(rf"\b{re.escape(way)}\b", text) for way in PHRASES[value])
    }


def _videos(noise, count=150):
    for k in range(count):
        rng = video_generator(2, k)
        scenes = draw_scenes(rng, 30.0, 0.0, 4.0, 8.0)
        yield scenes, narrate(rng, scenes, noise)


def test_every_attribute_has_several_ways_and_no_way_is_shared():
    assert PHRASES.keys() == {*SHAPES, *COLOURS, *MOTIONS}
    assert min(map(len, PHRASES.values())) >= 2
    ways = list(itertools.chain(*PHRASES.values()))
    assert len(ways) == len(set(ways))
    for value, its_ways in PHRASES.items():
        for way in its_ways:
            assert _named(way, PHRASES) == {value}


def test_claims_are_in_the_words_of_right_and_wrong_lines_alike():
    counts = {True: [], False: []}
    for _, lines in _videos(0.4):
        for line in lines:
            assert _named(line.text, SHAPES) == {line.shape}
            colours, motions = _named(line.text, COLOURS), _named(line.text, MOTIONS)
            assert colours <= {line.colour}
            assert motions <= {line.motion}
            counts[line.aligned].append(1 + len(colours) + len(motions))
    for numbers in counts.values():
        assert len(numbers) > 200
        assert np.mean([number >= 2 for number in numbers]) > 0.95
        assert np.mean([number == 3 for number in numbers]) > 0.4


@pytest.mark.parametrize("noise", [0.0, 0.25, 0.7, 1.0])
def test_share_of_wrong_lines_is_the_argument(noise):
    aligned = []
    for scenes, lines in _videos(noise):
        for line in lines:
            scene = scenes[line.scene]
            said = (line.shape, line.colour, line.motion)
            same = said == (scene.shape, scene.colour, scene.motion)
            assert same == line.aligned == (line.shape == scene.shape)
            aligned.append(line.aligned)
    assert 1 - np.mean(aligned) == pytest.approx(noise, abs=0.05 if 0 < noise < 1 else 0)


def test_lines_are_timed_as_speech_recognition_does():
    steps = []
    for scenes, lines in _videos(0.3):
        numbers = [line.scene for line in lines]
        assert all(1 <= numbers.count(number) <= 3 for number in range(len(scenes)))
        for line in lines:
            scene = scenes[line.scene]
            assert 0.0 <= line.start < line.end <= scenes[-1].end
            assert line.end - line.start >= 0.59
            assert line.start < scene.end
            assert line.end > scene.start
        starts = [line.start for line in lines]
        assert starts == sorted(starts)
        steps += [after.start - before.end for before, after in itertools.pairwise(lines)]
    steps = np.array(steps)
    assert np.mean(steps > 0.1) > 0.2
    assert np.mean(steps < -0.1) > 0.2


def test_wording_varies_and_has_fillers_and_correct_articles():
    rng = np.random.default_rng(0)
    texts = [phrase(rng, "ring", "blue", "orbits") for _ in range(300)]
    assert len(set(texts)) > 150
    assert all(_named(text, SHAPES) == {"ring"} for text in texts)
    for filler in ("um", "so", "you know"):
        assert any(text.startswith(f"{filler} ") for text in texts)
    assert any(" an azure" in text for text in texts)
    assert not any(re.search(r"\ba [aeiou]", text) for text in texts)
