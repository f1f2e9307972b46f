"""The floor of a disk."""

import errno

import pytest

from servicekit.disk import MAX_FLOOR_BYTES, DiskFloor
from servicekit.errors import ResourceExhausted


def test_room_is_what_is_free_above_the_floor(tmp_path):
    free = DiskFloor(tmp_path).free_bytes
    DiskFloor(tmp_path, 0).check(free // 2)
    for floor, size_bytes in ((0, 2 * free), (2 * free, 0), (free // 2, free)):
        with pytest.raises(ResourceExhausted):
            DiskFloor(tmp_path, floor).check(size_bytes)
    DiskFloor(tmp_path, free + free // 2).check(share=0.5)


def test_the_floor_is_a_share_of_the_disk_unless_it_is_set(tmp_path):
    assert 0 < DiskFloor(tmp_path).floor_bytes <= MAX_FLOOR_BYTES
    assert DiskFloor(tmp_path, 7).floor_bytes == 7


def test_a_folder_that_is_not_there_yet_is_on_the_disk_of_its_parent(tmp_path):
    assert DiskFloor(tmp_path / "a" / "b", 0).free_bytes > 0


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told(tmp_path, number):
    floor = DiskFloor(tmp_path, text="no room", reason="NO_ROOM")
    with pytest.raises(ResourceExhausted, match="no room") as caught, floor.full_disk_errors():
        raise OSError(number, "full")
    assert (caught.value.reason, caught.value.retry_seconds) == ("NO_ROOM", 60)


def test_other_errors_pass(tmp_path):
    with pytest.raises(PermissionError), DiskFloor(tmp_path).full_disk_errors():
        raise PermissionError(errno.EACCES, "no")
