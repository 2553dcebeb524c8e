"""What a user can get wrong costs nothing: a message that names it, exit status 1, no traceback, no Ray."""

import os
import shutil
import subprocess

import pytest
from PIL import Image

CLASSES = (
    "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant sheep"
)
VOC_CLASSES = [*CLASSES.split(), "sofa", "train", "tvmonitor"]

STUDY = """\
name: bad
data: {dataset: voc2007, root: VOC2007, image_size: 32, validation: {fraction: 0.6}}
method: {name: AN}
training: {epochs: 1}
"""


def voc_tree(folder):
    """Five photos for training and five to test on, every other one an aeroplane, the others a bicycle."""
    main, photos = folder / "VOC2007" / "ImageSets" / "Main", folder / "VOC2007" / "JPEGImages"
    main.mkdir(parents=True)
    photos.mkdir(parents=True)
    names = {"trainval": [f"{n:06d}" for n in range(5)], "test": [f"{n:06d}" for n in range(5, 10)]}
    for split, images in names.items():
        for name in VOC_CLASSES:
            shown = {"aeroplane": 0, "bicycle": 1}.get(name)
            states = (1 if int(image) % 2 == shown else -1 for image in images)
            lines = (f"{image} {state:2d}\n" for image, state in zip(images, states, strict=True))
            (main / f"{name}_{split}.txt").write_text("".join(lines))
        for image in images:
            Image.new("RGB", (40, 30), (10, 20, 30)).save(photos / f"{image}.jpg")
    return folder / "VOC2007"


def assert_refused(cli, *expected, arguments=("run", "bad.yaml")):
    printed = cli(*arguments, status=1)
    for words in expected:
        assert words in printed
    assert "starting Ray" not in printed


def test_a_corrupt_photo_is_named(cli):
    root = voc_tree(cli.folder)
    cli.write("bad.yaml", STUDY)
    (root / "JPEGImages" / "000003.jpg").write_bytes(b"\xff\xd8 no photo")
    assert_refused(cli, "000003.jpg", "put readable images in their place")


def test_a_missing_label_file_is_named(cli):
    root = voc_tree(cli.folder)
    cli.write("bad.yaml", STUDY)
    (root / "ImageSets" / "Main" / "dog_trainval.txt").unlink()
    assert_refused(cli, "dog_trainval.txt")
    assert_refused(cli, "dog_trainval.txt", arguments=("check", "bad.yaml"))


def test_a_missing_photo_is_named(cli):
    root = voc_tree(cli.folder)
    cli.write("bad.yaml", STUDY)
    (root / "JPEGImages" / "000004.jpg").unlink()
    assert_refused(cli, "000004")


def test_a_missing_root_is_named(cli):
    cli.write("bad.yaml", STUDY)
    assert_refused(cli, "VOC2007")


def test_weights_that_are_not_there_are_named(cli):
    voc_tree(cli.folder)
    cli.write("bad.yaml", STUDY + "model: {backbone: mobilenet_v2, weights: nowhere.pth}\n")
    assert_refused(cli, "model.weights: no file nowhere.pth")


def test_a_storage_that_cannot_be_written_is_named(cli):
    cli.write("bad.yaml", "name: bad\ndata: {dataset: digit_scenes}\nmethod: {name: AN}\nstorage: file/below\n")
    cli.write("file", "in the way")
    assert_refused(cli, "file/below/bad: Not a directory", "--storage")


def test_a_cluster_too_small_for_one_trial_says_what_it_lacks(cli):
    resources = "resources: {workers_per_trial: 64}\ntraining: {batch_size: 64}\n"
    cli.write("bad.yaml", "name: bad\ndata: {dataset: digit_scenes}\nmethod: {name: AN}\n" + resources)
    printed = cli("run", "bad.yaml", status=1)
    assert "a trial needs 64 CPUs (64 workers)" in printed
    assert "lower resources.workers_per_trial" in printed


def test_usage_errors_have_status_2(cli):
    assert "No such command" in cli("runn", status=2)
    assert "Missing argument" in cli("run", status=2)


def test_a_command_without_its_study_says_so(cli):
    assert "nowhere.yaml: there is no such file" in cli("check", "nowhere.yaml", status=1)
    cli.write("good.yaml", "name: good\ndata: {dataset: digit_scenes}\nmethod: {name: AN}\n")
    assert "no results of study good yet" in cli("results", "good.yaml", status=1)
    assert "no results of study good yet" in cli("export", "good.yaml", "-o", "configs", status=1)


def test_init_writes_a_study_that_check_accepts_and_never_overwrites(cli):
    cli("init", "mine.yaml")
    assert "trials" in cli("check", "mine.yaml")
    assert "exists already" in cli("init", "mine.yaml", status=1)


@pytest.mark.timeout(600)
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="needs root and mount for a small disk")
def test_a_disk_that_fills_up_stops_the_study_with_a_message_and_room_lets_it_go_on(cli):
    disk = cli.folder / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        study = "name: full\ndata: {dataset: digit_scenes}\nmethod: {name: AN}\ntraining: {epochs: 2}\nstorage: disk\n"
        cli.write("full.yaml", study)
        room = 40_000  # for the event log and the journal; not for the tables
        (disk / "filler").write_bytes(b"0" * (shutil.disk_usage(disk).free - room))
        printed = cli("run", "full.yaml", status=1)
        assert "No space left on device" in printed
        assert "free some space" in printed
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        (disk / "filler").unlink()
        assert "1 of 1 trials ended" in cli("run", "full.yaml")
    finally:
        subprocess.run(["umount", "-l", disk], check=False)
