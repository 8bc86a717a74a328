"""Small models for the tests of the torch path; random weights, nothing to download."""

import torch
from torch import nn


class Small(nn.Module):
    """Conv2d, in-place ReLU, Conv2d with stride and circular padding, Linear; the Linear is used twice."""

    def __init__(self, dtype=torch.float64):
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1, dtype=dtype)
        self.act = nn.ReLU(inplace=True)
        self.second = nn.Conv2d(4, 6, 3, stride=2, padding=1, padding_mode="circular", groups=2, dtype=dtype)
        self.head = nn.Linear(6, 6, dtype=dtype)

    def forward(self, x, t=0):
        x = self.second(self.act(self.first(x)))
        x = x.mean((-2, -1))
        return self.head(torch.tanh(self.head(x)) + t)


def small(seed=0, dtype=torch.float64):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Small(dtype).eval()


def unet(seed=0, size=8):
    """A tiny diffusers UNet2DModel with attention in the middle."""
    from diffusers import UNet2DModel

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return UNet2DModel(
            sample_size=size, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(8, 16),
            norm_num_groups=4, attention_head_dim=8,
            down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"),
        ).eval()  # fmt: skip


def walk(steps, batch=3, shape=(2, 8, 8), seed=0, dtype=torch.float64, step=0.1):
    """A slowly changing sequence of inputs."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, *shape, generator=g, dtype=dtype)
    for _ in range(steps):
        yield x
        x = x + step * torch.randn(batch, *shape, generator=g, dtype=dtype)
