"""Getting what the lab does not ship: COCO and the public teachers, resumed, checked, unpacked."""

from crosskd_lab.fetch.archive import extract
from crosskd_lab.fetch.coco2017 import get_coco
from crosskd_lab.fetch.download import check_sum, download, require_room
from crosskd_lab.fetch.teachers import TEACHERS, get_teacher, local_file

__all__ = [
    "TEACHERS",
    "check_sum",
    "download",
    "extract",
    "get_coco",
    "get_teacher",
    "local_file",
    "require_room",
]
