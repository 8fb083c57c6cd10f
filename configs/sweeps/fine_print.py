"""The fine print: where the authors' code differs from the paper's text, one switch at a time.

`as_run` is CrossKD as the authors' code runs. `pre_relu` reads f_i before the activation,
`no_align` delivers it as it is, `everywhere` has S(r) = 1 in the box term, `by_positives` divides
the box term by the number of positives (in no source; the class term's way), `as_written` is
`pre_relu`, `no_align` and `everywhere` together. The class term is as the code runs in all of them.
"""

AS_RUN = {"methods.0.i": 3}
AS_WRITTEN = {"methods.0.align": "none", "methods.0.region": "everywhere"}
rows = {
    "none": ("pocket/none", {}),
    "as_run": ("pocket/crosskd", AS_RUN),
    "pre_relu": ("fine_print/pre_relu", {}),
    "no_align": ("pocket/crosskd", {**AS_RUN, "methods.0.align": "none"}),
    "everywhere": ("pocket/crosskd", {**AS_RUN, "methods.0.region": "everywhere"}),
    "by_positives": ("pocket/crosskd", {**AS_RUN, "methods.0.normaliser": "positives"}),
    "as_written": ("fine_print/pre_relu", AS_WRITTEN),
}
