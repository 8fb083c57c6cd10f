"""The verbs of the notebooks: what a lesson loads, measures, draws and checks.

``students`` and ``seen`` get tensors, ``measures`` turns them into tables, ``pictures`` into
figures, ``exercises`` judges what the learner wrote, ``welcome``, ``the_race``, ``any_pair`` (with
``views``) and ``conflicts`` serve notebooks 00, 02, 03 and 04.
"""
