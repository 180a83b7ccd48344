"""Muon: momentum whose matrix is made orthogonal before each step (Jordan et al., 2024)."""

import torch
from torch import Tensor, nn


def orthogonal(matrix: Tensor, *, steps: int = 5) -> Tensor:
    """Newton-Schulz iteration towards the nearest matrix whose singular values are all one."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


class Muon:
    """For hidden matrices only; embeddings and norms belong to AdamW."""

    def __init__(self, matrices: list[nn.Parameter], *, momentum: float = 0.95, decay: float = 0.01) -> None:
        self.matrices = matrices
        self.momentum = momentum
        self.decay = decay
        self.buffers = [torch.zeros_like(matrix) for matrix in matrices]

    def step(self, rate: float, dtype: torch.dtype) -> None:
        for matrix, buffer in zip(self.matrices, self.buffers, strict=True):
            if (gradient := matrix.grad) is None:
                continue
            buffer.lerp_(gradient, 1 - self.momentum)
            update = orthogonal(gradient.lerp(buffer, self.momentum).to(dtype)).float()
            rows, columns = matrix.shape
            matrix.data.mul_(1 - rate * self.decay)
            matrix.data.add_(update, alpha=-rate * max(1.0, rows / columns) ** 0.5)
            matrix.grad = None
