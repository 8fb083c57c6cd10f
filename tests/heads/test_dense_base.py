"""The detection loss is the head's own; targets are recorded."""

from crosskd_lab.heads import adapter_for


def test_the_assigner_runs_once_and_the_head_is_left_as_it_was(make_detector, make_batch):
    detector = make_detector(0)
    inputs, samples = make_batch()
    head = adapter_for(detector.bbox_head)
    assigner, calls = detector.bbox_head.assigner, []
    own = assigner.assign
    assigner.assign = lambda *a, **k: calls.append(1) or own(*a, **k)
    before = set(vars(detector.bbox_head))
    truths, metas = [s.gt_instances for s in samples], [s.metainfo for s in samples]
    head.detection_losses(
        head.forward_towers(detector.extract_feat(inputs)).predictions, truths, metas
    )
    assert len(calls) == len(samples)
    assert set(vars(detector.bbox_head)) == before
