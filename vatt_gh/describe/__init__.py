"""What a configuration's model and training step are and cost, without data: mode=describe.

`numbers` finds sizes, FLOPs and memory from shapes: no parameter is drawn, nothing is compiled.
`text` prints them.
"""
