"""Simulation in Brian2, from `network.h5` alone."""
