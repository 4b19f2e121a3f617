"""What is decided before any slide is opened."""

import pytest

from wsi_parse.errors import UsageError
from wsi_parse.prompts import TARGETS, Prompt
from wsi_parse.run.resolve import resolve
from wsi_parse.settings import RunSettings


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("nuclei, glands", '--prompt "nuclei" --prompt "glands"'),
        ("nuclei;glands", '--prompt "nuclei" --prompt "glands"'),
        ("Tumor and stroma", '--prompt "Tumor" --prompt "stroma"'),
        ("lymphocytes / tumour cells, glands", '--prompt "lymphocytes" --prompt "tumour cells" --prompt "glands"'),
        ("nuclei, all", '--prompt "nuclei" --prompt "all"'),
    ],
)
def test_a_list_in_one_prompt_is_refused_with_a_prompt_for_each(text: str, advice: str) -> None:
    for require_weights in (True, False):
        with pytest.raises(UsageError) as caught:
            resolve(RunSettings(prompts=text), require_weights=require_weights)
        assert str(caught.value).endswith(f"Give each as a prompt of its own: {advice}")


def test_no_name_of_a_target_is_taken_for_a_list() -> None:
    for target in TARGETS:
        for words in (target.name, *target.synonyms):
            request = resolve(RunSettings(prompts=words), require_weights=False)
            assert [prompt.name for prompt in request.prompts] == [target.name], words
    # Words that are no list of targets are left to a model that reads any words.
    assert not Prompt.parse("cells and debris").known
    request = resolve(RunSettings(prompts="mitoses, red and round", model="biomedparse"), require_weights=False)
    assert [prompt.text for prompt in request.prompts] == ["mitoses, red and round"]
