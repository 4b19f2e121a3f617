"""The text side: transformers' CLIP text tower, and a projection of every token into the queries' space."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from wsi_parse.models.biomedparse.sizes import Sizes
from wsi_parse.models.biomedparse.tokens import END, tokenise

_EPS = 1e-12


@dataclass(frozen=True, slots=True)
class TextEmbeddings:
    """Prompts, encoded; the same for every image.

    Parameters
    ----------
    tokens : float tensor (N, T, C)
        From the start token to the end token; T is the longest prompt's.
    is_token : bool tensor (N, T)
        False where a shorter prompt is padded.
    sentences : float tensor (N, C)
        Each prompt's end token.
    """

    tokens: Tensor
    is_token: Tensor
    sentences: Tensor

    @property
    def concatenated(self) -> "TextEmbeddings":
        """All prompts in one call, where they see one another: what the published code does with several prompts.

        It changes their masks, so it is never used but to compare with published numbers.
        """
        return TextEmbeddings(self.tokens[self.is_token][None], self.is_token[self.is_token][None], self.sentences)


class Text(nn.Module):
    """Words to vectors.

    Parameters
    ----------
    sizes : Sizes
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.tower = CLIPTextModelWithProjection(
            CLIPTextConfig(
                vocab_size=sizes.vocabulary,
                hidden_size=sizes.text_width,
                intermediate_size=sizes.text_feedforward,
                projection_dim=sizes.width,
                num_hidden_layers=sizes.text_layers,
                num_attention_heads=sizes.text_heads,
                max_position_embeddings=sizes.text_length,
                hidden_act="quick_gelu",
                layer_norm_eps=_EPS,
                eos_token_id=END,
                pad_token_id=END,
            )
        )
        self.length = sizes.text_length

    def place_tokens(self) -> None:
        """Number the places of a text: the one thing that is computed, not stored with the weights."""
        self.tower.text_model.embeddings.position_ids = torch.arange(self.length)[None]

    def forward(self, texts: Sequence[str]) -> TextEmbeddings:
        """Encode prompts.

        Parameters
        ----------
        texts : sequence of N str

        Raises
        ------
        UnknownPromptError
            Where a text is longer than the network reads.
        """
        lists = [tokenise(text, self.length) for text in texts]
        longest = max(map(len, lists))
        device = self.tower.text_projection.weight.device
        ids = torch.tensor([[*one, *[END] * (longest - len(one))] for one in lists], device=device)
        size = torch.tensor([len(one) for one in lists], device=device)
        # Causal: what follows the end token changes nothing before it.
        hidden = self.tower.text_model(input_ids=ids).last_hidden_state
        tokens = self.tower.text_projection(hidden)
        is_token = torch.arange(longest, device=device) < size[:, None]
        return TextEmbeddings(tokens, is_token, tokens[torch.arange(len(lists), device=device), size - 1])
