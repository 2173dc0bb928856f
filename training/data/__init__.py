"""Labelled spike data: read, downloaded or generated, pooled and split. Needs neither PyTorch nor Brian2.

One concept per module: `labelled` (what all sources yield), `shd` (reads files in the layout of the Spiking Heidelberg
Digits), `download` (fetches SHD and SSC), `manifold` (a timing-coded set that needs no network), `pooling`, `split`.
"""
