"""The verbs of ``crosskd-lab data`` as a user meets them."""

import json
import shutil
import subprocess
import sys

import pytest
from PIL import Image

from crosskd_lab.data.scene_sets import data_checksum


def test_scenes_are_written_and_summed_up(run, tmp_path):
    flags = ["--size", 32, "--train", 5, "--val", 3, "--seed", 1, "--out", tmp_path / "s"]
    code, out, _ = run("data", "scenes", *flags)
    said = f"5 train, 3 val images of 32 x 32 pixels, data checksum {data_checksum(tmp_path / 's')}"
    assert (code, out) == (0, f"{tmp_path / 's'}: {said}\n")
    assert Image.open(tmp_path / "s/val/000002.png").size == (32, 32)


def test_foreign_files_are_one_line_and_exit_1(run, tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    code, _, err = run("data", "scenes", "--out", tmp_path)
    assert code == 1 and err.count("\n") == 1 and "thesis.tex" in err


def test_a_picture_is_drawn(run, scenes_dir, tmp_path):
    picture = tmp_path / "look.png"
    code, out, _ = run("data", "draw", scenes_dir, "--count", 4, "--out", picture)
    assert (code, Image.open(picture).size[0]) == (0, 658)
    assert out == f"4 val images of {scenes_dir} drawn to {picture}\n"
    assert list(tmp_path.iterdir()) == [picture]


@pytest.mark.parametrize("name", ["look.jpg", "no/look.png", "."])
def test_a_picture_needs_a_good_name(run, scenes_dir, tmp_path, name):
    code, _, err = run("data", "draw", scenes_dir, "--out", tmp_path / name)
    assert code == 1 and "is no name for the picture" in err


def test_check_names_the_first_bad_record_or_lists_all(run, scenes_dir, tmp_path):
    code, out, _ = run("data", "check", scenes_dir)
    assert code == 0 and out.splitlines()[1].startswith("val: 8 images, ")
    document = json.loads((scenes_dir / "annotations/val.json").read_text())
    document["annotations"][0]["bbox"] = [90, 90, 20, 20]
    (tmp_path / "annotations").mkdir()
    (tmp_path / "images").mkdir()
    (tmp_path / "annotations/val.json").write_text(json.dumps(document))
    for image in document["images"][1:]:
        data = (scenes_dir / "val" / image["file_name"]).read_bytes()
        (tmp_path / "images" / image["file_name"]).write_bytes(data)
    code, _, err = run("data", "check", tmp_path)
    assert code == 1 and "000000.png; 1 more bad record;" in err
    code, out, _ = run("data", "check", tmp_path, "--split", "val", "--skip-bad")
    lines = out.splitlines()
    assert code == 0 and len(lines) == 3 and "leaves the 96 x 96 image" in lines[1]
    assert lines[2].startswith("val: left out 1 of 8 images and ")


def test_a_training_set_without_boxes_is_an_error_that_a_validation_set_is_not(
    run, scenes_dir, tmp_path
):
    copy = shutil.copytree(scenes_dir, tmp_path / "copy")
    for split, ends in (("val", 0), ("train", 1)):
        file = copy / "annotations" / f"{split}.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "annotations": []}))
        code, out, err = run("data", "check", copy)
        assert code == ends and "nothing to learn" in out and out.count("\n") == 2
        said = f"crosskd-lab: {file}: no box to learn from: give a set that has some\n"
        assert err == said * ends


def test_help_is_quick_and_needs_no_numpy():
    code = (
        "import sys\nfrom crosskd_lab.cli import main\n"
        "try: main(['data', 'check', '--help'])\nexcept SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'numpy', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
