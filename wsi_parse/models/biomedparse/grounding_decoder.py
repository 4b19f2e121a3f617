"""The grounding decoder: queries look at an image and at the words, and the query closest to the words draws the mask.

Each prompt has queries of its own, which see its own words only. Those of all prompts share one pass over the image: in
cross-attention queries do not see one another, so prompts stand side by side along the axis of queries, and keys
and values are made once.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsi_parse.models.biomedparse.layers import Attention, FeedForward
from wsi_parse.models.biomedparse.pixel_decoder import ImageFeatures
from wsi_parse.models.biomedparse.positions import sine_positions
from wsi_parse.models.biomedparse.sizes import Sizes
from wsi_parse.models.biomedparse.text import TextEmbeddings

_LEVELS = 3


@dataclass(frozen=True, slots=True)
class Choice:
    """The query chosen for each prompt.

    Parameters
    ----------
    similarity : float32 tensor (B, N, Q)
        Cosine of each query's vector with the prompt's.
    query : int64 tensor (B, N)
        Where it is largest.
    vector : float tensor (B, N, C)
        What its mask is drawn with.
    """

    similarity: Tensor
    query: Tensor
    vector: Tensor


class GroundingDecoder(nn.Module):
    """Image features and words to one mask a prompt.

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

    def forward(self, image: ImageFeatures, words: TextEmbeddings) -> Tensor:
        """Let the queries of every prompt look at images and at its words.

        Parameters
        ----------
        image : ImageFeatures
            Of B images.
        words : TextEmbeddings
            Of N prompts.

        Returns
        -------
        float tensor (B, N, Q, C)
            The queries, normalised.
        """
        batch, prompts = len(image.finest), len(words.tokens)
        keys, values = zip(*map(self._memory, range(_LEVELS), image.levels), strict=True)
        looks = [features.flatten(2) for features in image.looks]
        dtype = image.finest.dtype
        tokens = words.tokens.to(dtype).expand(batch, -1, -1, -1).flatten(0, 1)
        places = self.query_embed.weight.to(dtype)
        token_places = torch.cat([places.expand(len(tokens), -1, -1), tokens], dim=1)
        # What a prompt's queries and tokens see in self-attention: all but the padding of shorter prompts.
        seen = torch.cat([words.is_token.new_ones(prompts, len(places)), words.is_token], dim=1)
        seen = seen.expand(batch, -1, -1).flatten(0, 1)[:, None, None]
        queries = self.query_feat.weight.to(dtype).expand(batch, prompts, -1, -1)
        for number, layer in enumerate(self.layers):
            level = number % _LEVELS
            where = self._where_to_look(queries, looks[level])
            queries = layer.cross_attend(queries, places, keys[level], values[level], where)
            queries, tokens = layer.self_attend(queries, tokens, token_places, seen)
        return self.decoder_norm(queries)

    def _memory(self, level: int, features: Tensor) -> tuple[Tensor, Tensor]:
        """Keys' and values' sources of a level: two tensors (B, H W, C)."""
        source = features.flatten(2).transpose(1, 2) + self.level_embed.weight[level].to(features.dtype)
        height, width = features.shape[2:]
        return source + sine_positions(height, width, source.shape[2], source.device, source.dtype), source

    def _where_to_look(self, queries: Tensor, features: Tensor) -> Tensor:
        """Where each query's present mask is: bool tensor (B, 1, N Q, H W); everywhere where it is nowhere."""
        vectors = self.mask_embed(self.decoder_norm(queries)).flatten(1, 2)
        inside = torch.bmm(vectors, features).float().sigmoid() >= 0.5
        return (inside | ~inside.any(dim=2, keepdim=True))[:, None]

    def choose(self, queries: Tensor, sentences: Tensor) -> Choice:
        """Choose for each prompt the query whose vector is closest to its words'.

        Parameters
        ----------
        queries : float tensor (B, N, Q, C)
        sentences : float tensor (N, C)
            One vector a prompt; where the queries' N is 1 they are shared by any number of prompts.
        """
        with torch.autocast(queries.device.type, enabled=False):
            vectors = functional.normalize(queries.float() @ self.class_embed.float(), dim=3)
            sentences = functional.normalize(sentences.float(), dim=1)
            similarity = (vectors * sentences[:, None]).sum(dim=3)
            query = similarity.argmax(dim=2)
        index = query[:, :, None, None].expand(-1, -1, -1, queries.shape[3])
        chosen = queries.expand(-1, len(sentences), -1, -1).gather(2, index).squeeze(2)
        return Choice(similarity, query, self.mask_embed(chosen))


class DecoderLayer(nn.Module):
    """Queries look at the image, then talk with one another and with the words, then think.

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

    def cross_attend(self, queries: Tensor, places: Tensor, key: Tensor, value: Tensor, where: Tensor) -> Tensor:
        """Cross-attention.

        Parameters
        ----------
        queries : float tensor (B, N, Q, C)
        places : float tensor (Q, C)
        key, value : float tensor (B, H W, C)
        where : bool tensor (B, 1, N Q, H W)
        """
        seen = self.cross_attention((queries + places).flatten(1, 2), key, value, where)
        return self.cross_norm(queries + seen.view(queries.shape))

    def self_attend(self, queries: Tensor, tokens: Tensor, places: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Self-attention of queries and words, and the perceptron.

        Parameters
        ----------
        queries : float tensor (B, N, Q, C)
        tokens : float tensor (B N, T, C)
        places : float tensor (B N, Q + T, C)
        seen : bool tensor (B N, 1, 1, Q + T)
        """
        count = queries.shape[2]
        x = torch.cat([queries.flatten(0, 1), tokens], dim=1)
        placed = x + places
        x = self.feed_forward(self.self_norm(x + self.self_attention(placed, placed, x, seen)))
        return x[:, :count].view(queries.shape), x[:, count:]
