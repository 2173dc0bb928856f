"""The contract between training, simulation and validation: what a network is, and what it did.

Nothing here imports PyTorch, Brian2 or Elephant, so either side can be used without the other.
"""
