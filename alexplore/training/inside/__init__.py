"""Record the inside of a network while it trains (`runs.inside` writes and reads the files).

`layer_figures.py` measures every layer in some steps, `answers.py` collects the confusion matrix and the worst mistakes
during an evaluation, and `appearance.py` records weights, kernels and feature maps. The training loop calls
`recorder.py`. Nothing here draws random numbers, changes a tensor that the training uses, or makes a step wait.
"""
