"""Automatic mutants: every small change that a mutation tool can make to an implementation's source.

The hand-made mutants show that the faults somebody thought of are caught; these show how many of those nobody thought
of are.
"""
