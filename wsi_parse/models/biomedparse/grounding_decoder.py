"""The grounding decoder: queries attend to the image and the text, and the query most similar to the text is the mask.

Each prompt has its own queries, which attend to its own text only. The queries of all prompts share one pass over the
image: in cross-attention queries do not interact, so prompts are concatenated along the axis of queries, and keys and
values are computed once.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsi_parse.models.biomedparse.layers import Attention, FeedForward
from wsi_parse.models.biomedparse.network_sizes import Sizes
from wsi_parse.models.biomedparse.pixel_decoder import ImageFeatures
from wsi_parse.models.biomedparse.positions import sine_positions
from wsi_parse.models.biomedparse.text_encoder import TextEmbeddings

_LEVELS = 3


@dataclass(frozen=True, slots=True)
class Choice:
    """The query selected for each prompt.

    Parameters
    ----------
    similarity : float32 tensor (B, N, Q)
        Cosine similarity of each query's vector with the prompt's.
    query : int64 tensor (B, N)
        Index of the largest similarity.
    vector : float tensor (B, N, C)
        The vector that gives its mask.
    """

    similarity: Tensor
    query: Tensor
    vector: Tensor


class GroundingDecoder(nn.Module):
    """Turns image features and text embeddings into one mask vector per prompt.

    Parameters
    ----------
    sizes : Sizes
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.width
        self.query_feat = nn.Embedding(sizes.queries, width)
        self.query_embed = nn.Embedding(sizes.queries, width)
        self.level_embed = nn.Embedding(_LEVELS, width)
        self.layers = nn.ModuleList(
            DecoderLayer(width, sizes.heads, sizes.decoder_feedforward) for _ in range(sizes.decoder_layers)
        )
        self.decoder_norm = nn.LayerNorm(width)
        self.class_embed = nn.Parameter(torch.empty(width, width))
        self.mask_embed = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)
        )

    def forward(self, image: ImageFeatures, text: TextEmbeddings) -> Tensor:
        """Let the queries of every prompt attend to images and to its text.

        Parameters
        ----------
        image : ImageFeatures
            Of B images.
        text : TextEmbeddings
            Of N prompts.

        Returns
        -------
        float tensor (B, N, Q, C)
            The queries, normalised.
        """
        batch, prompts = len(image.finest), len(text.tokens)
        keys, values = zip(*map(self._memory, range(_LEVELS), image.levels), strict=True)
        mask_features = [features.flatten(2) for features in image.mask_features]
        dtype = image.finest.dtype
        tokens = text.tokens.to(dtype).expand(batch, -1, -1, -1).flatten(0, 1)
        positions = self.query_embed.weight.to(dtype)
        all_positions = torch.cat([positions.expand(len(tokens), -1, -1), tokens], dim=1)
        # In self-attention, queries and tokens attend to all but the padding of shorter prompts.
        attend = torch.cat([text.is_token.new_ones(prompts, len(positions)), text.is_token], dim=1)
        attend = attend.expand(batch, -1, -1).flatten(0, 1)[:, None, None]
        queries = self.query_feat.weight.to(dtype).expand(batch, prompts, -1, -1)
        for number, layer in enumerate(self.layers):
            level = number % _LEVELS
            inside = self._inside_mask(queries, mask_features[level])
            queries = layer.cross_attend(queries, positions, keys[level], values[level], inside)
            queries, tokens = layer.self_attend(queries, tokens, all_positions, attend)
        return self.decoder_norm(queries)

    def _memory(self, level: int, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sources of keys and values of a level: two tensors (B, H W, C)."""
        source = features.flatten(2).transpose(1, 2) + self.level_embed.weight[level].to(features.dtype)
        height, width = features.shape[2:]
        return source + sine_positions(height, width, source.shape[2], source.device, source.dtype), source

    def _inside_mask(self, queries: Tensor, features: Tensor) -> Tensor:
        """Return each query's current mask, bool (B, 1, N Q, H W); an empty mask becomes True everywhere."""
        vectors = self.mask_embed(self.decoder_norm(queries)).flatten(1, 2)
        inside = torch.bmm(vectors, features).float().sigmoid() >= 0.5
        return (inside | ~inside.any(dim=2, keepdim=True))[:, None]

    def select(self, queries: Tensor, sentences: Tensor) -> Choice:
        """Select for each prompt the query whose vector is most similar to its text.

        Parameters
        ----------
        queries : float tensor (B, N, Q, C)
        sentences : float tensor (N, C)
            One vector per prompt; if N of the queries is 1, they are shared by any number of prompts.
        """
        with torch.autocast(queries.device.type, enabled=False):
            vectors = functional.normalize(queries.float() @ self.class_embed.float(), dim=3)
            sentences = functional.normalize(sentences.float(), dim=1)
            similarity = (vectors * sentences[:, None]).sum(dim=3)
            query = similarity.argmax(dim=2)
        index = query[:, :, None, None].expand(-1, -1, -1, queries.shape[3])
        selected = queries.expand(-1, len(sentences), -1, -1).gather(2, index).squeeze(2)
        return Choice(similarity, query, self.mask_embed(selected))


class DecoderLayer(nn.Module):
    """Cross-attention to the image, self-attention of queries and text tokens, then a perceptron.

    Parameters
    ----------
    width, heads, hidden : int
    """

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.cross_attention = Attention(width, heads)
        self.cross_norm = nn.LayerNorm(width)
        self.self_attention = Attention(width, heads)
        self.self_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, hidden)

    def cross_attend(self, queries: Tensor, positions: Tensor, key: Tensor, value: Tensor, attend: Tensor) -> Tensor:
        """Cross-attention.

        Parameters
        ----------
        queries : float tensor (B, N, Q, C)
        positions : float tensor (Q, C)
        key, value : float tensor (B, H W, C)
        attend : bool tensor (B, 1, N Q, H W)
        """
        attended = self.cross_attention((queries + positions).flatten(1, 2), key, value, attend)
        return self.cross_norm(queries + attended.view(queries.shape))

    def self_attend(self, queries: Tensor, tokens: Tensor, positions: Tensor, attend: Tensor) -> tuple[Tensor, Tensor]:
        """Self-attention of queries and text tokens, and the perceptron.

        Parameters
        ----------
        queries : float tensor (B, N, Q, C)
        tokens : float tensor (B N, T, C)
        positions : float tensor (B N, Q + T, C)
        attend : bool tensor (B N, 1, 1, Q + T)
        """
        count = queries.shape[2]
        x = torch.cat([queries.flatten(0, 1), tokens], dim=1)
        positioned = x + positions
        x = self.feed_forward(self.self_norm(x + self.self_attention(positioned, positioned, x, attend)))
        return x[:, :count].view(queries.shape), x[:, count:]
