"""The text encoder: the CLIP text tower of transformers, and a projection of every token into the space of queries."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from wsi_parse.models.biomedparse.network_sizes import Sizes
from wsi_parse.models.biomedparse.tokens import END, tokenise

_EPS = 1e-12


@dataclass(frozen=True, slots=True)
class TextEmbeddings:
    """Encoded prompts; the same for every image.

    Parameters
    ----------
    tokens : float tensor (N, T, C)
        From the start token to the end token; T is the length of the longest prompt.
    is_token : bool tensor (N, T)
        False for the padding of shorter prompts.
    sentences : float tensor (N, C)
        The end token of each prompt.
    """

    tokens: Tensor
    is_token: Tensor
    sentences: Tensor

    @property
    def concatenated(self) -> "TextEmbeddings":
        """All prompts in one sequence, as the published code does with several prompts.

        They then influence one another's masks, so this is used only to compare with published results.
        """
        return TextEmbeddings(self.tokens[self.is_token][None], self.is_token[self.is_token][None], self.sentences)


class Text(nn.Module):
    """Turns texts into vectors.

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

    def set_positions(self) -> None:
        """Number the positions of tokens, which are not stored with the weights."""
        self.tower.text_model.embeddings.position_ids = torch.arange(self.length)[None]

    def forward(self, texts: Sequence[str]) -> TextEmbeddings:
        """Encode prompts.

        Parameters
        ----------
        texts : sequence of N str

        Raises
        ------
        UnknownPromptError
            If a text is longer than the network reads.
        """
        lists = [tokenise(text, self.length) for text in texts]
        longest = max(map(len, lists))
        device = self.tower.text_projection.weight.device
        ids = torch.tensor([[*one, *[END] * (longest - len(one))] for one in lists], device=device)
        size = torch.tensor([len(one) for one in lists], device=device)
        # Attention is causal: tokens after the end token change nothing before it.
        hidden = self.tower.text_model(input_ids=ids).last_hidden_state
        tokens = self.tower.text_projection(hidden)
        is_token = torch.arange(longest, device=device) < size[:, None]
        return TextEmbeddings(tokens, is_token, tokens[torch.arange(len(lists), device=device), size - 1])
