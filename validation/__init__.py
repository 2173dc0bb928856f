"""Validation: are two recordings of a network the same, how good are they, and what does the activity look like.

Works from a network and recordings alone: it imports neither PyTorch nor Brian2. Start at `report.build_report`.
"""
