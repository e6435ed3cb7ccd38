"""Describes a configuration's model and training step and their costs, without data: mode=describe.

`numbers` finds sizes, FLOPs and memory from shapes: draws no parameters, compiles nothing.
`summary` prints them.
"""
