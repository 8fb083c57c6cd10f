import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.stack.ext import OPS, StandInExt


def test_an_op_without_stand_in_is_named_with_its_remedy_when_called():
    op = StandInExt("mmcv._ext").roi_pool_forward  # mmcv's import only asks for the name
    with pytest.raises(LabError, match=r"'roi_pool_forward'.*mmcv==2\.1\.0") as caught:
        op(1, output=2)
    assert "\n" not in str(caught.value)


def test_the_ops_are_found_under_mmcv_names():
    ext = StandInExt("mmcv._ext")
    assert ext.nms in OPS and ext.ms_deform_attn_backward in OPS
    assert not hasattr(ext, "__path__")  # it must not pass for a package
