"""What is recorded of a network while it trains, so that it can be looked into (`runs.inside` writes and reads it).

`layer_figures.py` measures every layer in some steps, `answers.py` collects the confusion matrix and the worst mistakes
during an evaluation, and `appearance.py` looks at weights, kernels and feature maps. `recorder.py` is what the training
loop calls. Nothing here draws random numbers, changes a tensor that the training uses, or makes a step wait.
"""
