"""mmcv's compiled ops in PyTorch and NumPy, one file a family.

Every public function here bears the name and takes the arguments of the function of mmcv 2.1's
extension module ``mmcv._ext`` that it stands in for; ``crosskd_lab.stack.ext`` lists them.
As there, results go into the tensors that the caller hands in where the name ends in
``_forward`` or ``_backward``. CPU and CUDA tensors are both accepted.
"""
