"""DDOD beside ATSS: another assigner's targets, and an IoU instead of a centerness."""

from crosskd_lab.distiller import Distiller
from crosskd_lab.heads import adapter_for
from crosskd_lab.heads.ddod import DDODAdapter
from crosskd_lab.methods.crosskd import CrossKD
from crosskd_lab.pair import Pair


def test_ddod_learns_from_atss_and_teaches_it(detector, batch):
    assert isinstance(adapter_for(detector("ddod").bbox_head), DDODAdapter)
    for student, teacher in (("ddod", "atss"), ("atss", "ddod"), ("ddod", "gfl")):
        pair = Pair(detector(student, seed=1), detector(teacher, seed=2))
        losses = Distiller(pair=pair, methods=[CrossKD()]).loss(*batch)
        terms = {name: value for name, value in losses.items() if "crosskd" in name}
        assert ("loss_crosskd_centerness" in terms) == (teacher != "gfl")
        assert all(value.isfinite() and value > 0 for value in terms.values())
