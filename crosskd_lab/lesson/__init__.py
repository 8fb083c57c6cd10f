"""The verbs of the notebooks: what a lesson loads, measures, draws and checks.

``students`` and ``seen`` get tensors, ``measures`` turns them into tables, ``pictures`` into
figures, ``exercises`` judges what the learner wrote, ``welcome`` and ``the_race`` serve notebooks
00 and 02.
"""
