"""The drill's draws; what it tries takes too long to be a test."""

from drill import drawn_faults
from drill_faults import FAULTS


def test_a_short_drill_draws_its_kinds_too():
    drawn = [drawn_faults(FAULTS, 3, seed) for seed in range(60)]
    assert all(len({fault.__name__ for fault, _ in faults}) == 3 for faults in drawn)
    assert {fault.__name__ for faults in drawn for fault, _ in faults} == {
        fault.__name__ for fault, _ in FAULTS
    }
    assert drawn_faults(FAULTS, 3, 7) == drawn_faults(FAULTS, 3, 7)


def test_a_long_drill_has_each_kind_as_often_as_the_others():
    """In the order of the table in docs/reliability.md."""
    drawn = [fault.__name__ for fault, _ in drawn_faults(FAULTS, 50, 0)]
    assert drawn[:5] == ["not_finite", "stopped", "disk_full", "flipped", "flipped"]
    assert drawn[-3:] == ["cut", "cut", "interrupted"]
    assert {drawn.count(fault.__name__) for fault, _ in FAULTS} == {4, 5}
    assert sorted(drawn_faults(FAULTS[:4], 4, 1), key=FAULTS.index) == FAULTS[:4]
