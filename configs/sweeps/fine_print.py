"""The fine print: where the authors' code differs from the paper's text, one switch at a time."""

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
