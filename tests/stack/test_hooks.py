import importlib.util
import subprocess
import sys
from importlib.machinery import PathFinder

from crosskd_lab.stack.ext import StandInExt
from crosskd_lab.stack.hooks import MmcvExtFinder, StockFinder, install


def _python(code, *args):
    """What ``code`` prints in a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_package_imports_no_heavy_library():
    heavy = "{'torch', 'torchvision', 'mmcv', 'mmdet', 'mmengine', 'numpy'}"
    assert _python(f"import sys, crosskd_lab; print({heavy} & set(sys.modules))") == "set()"


def test_installing_again_changes_nothing():
    before = list(sys.meta_path)
    install()
    assert sys.meta_path == before
    kinds = [finder if isinstance(finder, type) else type(finder) for finder in before]
    assert kinds.count(StockFinder) == kinds.count(MmcvExtFinder) == 1
    # A compiled mmcv._ext is a file, which PathFinder finds first.
    assert kinds.index(StockFinder) < kinds.index(PathFinder) < kinds.index(MmcvExtFinder)


def test_what_is_imported_is_out_of_the_collectors_sight():
    said = _python(
        "import gc, crosskd_lab, torch\n"
        "print(gc.isenabled(), gc.get_freeze_count() > 1000)\n"
        "torch = gc.get_freeze_count()\n"
        "import mmcv\n"
        "print(gc.isenabled(), gc.get_freeze_count() > torch)\n"
    )
    assert said.splitlines() == ["True True", "True True"]


def test_mmdet_comes_without_seaborn_which_still_draws_its_tracking_errors():
    said = _python(
        "import sys, crosskd_lab, mmdet.utils\n"
        "from mmdet.utils import mot_error_visualize as tracks\n"
        "print({'seaborn', 'pandas'} & set(sys.modules), hasattr(tracks.sns, '__file__'))\n"
        "colours = tracks.sns.color_palette('muted', 3)\n"
        "import seaborn\n"
        "print(colours == seaborn.color_palette('muted', 3), seaborn.__file__ is not None)\n"
    )
    assert said.splitlines() == ["set() False", "True True"]
    hidden = "import sys; sys.modules['seaborn'] = None; import crosskd_lab\n"
    assert (
        _python(hidden + "from mmdet.utils import mot_error_visualize as m; print(m.sns)") == "None"
    )


def test_a_compiled_extension_wins(monkeypatch, tmp_path):
    import mmcv

    (tmp_path / "_ext.py").write_text("")
    monkeypatch.delitem(sys.modules, "mmcv._ext", raising=False)
    monkeypatch.setattr(mmcv, "__path__", [*mmcv.__path__, str(tmp_path)])
    spec = importlib.util.find_spec("mmcv._ext")
    assert spec is not None and spec.origin is not None
    assert not isinstance(spec.loader, MmcvExtFinder)


def test_without_one_the_stand_in_is_served(monkeypatch):
    import mmcv

    monkeypatch.delitem(sys.modules, "mmcv._ext", raising=False)
    monkeypatch.setattr(mmcv, "__path__", [])
    monkeypatch.setattr(mmcv, "_ext", None, raising=False)  # to be restored after the import
    assert isinstance(importlib.import_module("mmcv._ext"), StandInExt)


def test_other_modules_are_left_to_others():
    assert MmcvExtFinder().find_spec("mmcv._extra", None) is None
    assert StockFinder().find_spec("torchvision._meta_registrations", None) is None
