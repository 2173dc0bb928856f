"""Training in PyTorch: back-propagation through time with surrogate gradients, trainable weights and delays."""
