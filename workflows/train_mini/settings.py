"""TrainingSettings: data sets and hyperparameters of the training, read from YAML."""

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SetSettings(_Section):
    """One data set."""

    reader: Literal["consep", "tnbc", "nuinsseg", "brca_m2c", "brecahad", "bcss", "dsb2018", "nucls", "corrected"]
    folder: str = Field(description="below the data folder")
    mpp: float | None = Field(gt=0, description="microns per pixel; null: each tile is scaled by its median nucleus")
    share: float = Field(0.0, ge=0, description="share of the crops; 0: used for measuring only")
    held_out: tuple[str, ...] = Field((), description="groups (fields, patients) that are not used in training")
    held_out_every: int = Field(0, ge=0, description="every n-th group is held out; 0: none")
    oversample: dict[str, float] = Field({}, description="factor by which a group is drawn more often")
    scale: tuple[float, float] | None = Field(
        None, description="variation of scale for this set; null: as for all sets"
    )
    normal: bool = Field(False, description="normal tissue: hardly any nucleus is neoplastic")
    guess_classes: bool = Field(
        False, description="train with classes guessed from size and shape; never used for measuring"
    )
    large_um2: float = Field(
        32.0, gt=0, description="a larger round nucleus is guessed to be neoplastic, or epithelial in normal glands"
    )
    distance_weight: float = Field(1.0, ge=0, description="weight of this set's distances to the border of nuclei")


class AugmentSettings(_Section):
    """How crops are varied."""

    scale: tuple[float, float] = Field((0.75, 1.35), description="side of a crop; below 1 nuclei are enlarged")
    white: tuple[float, float] = (0.72, 1.05)
    density: float = Field(0.2, description="the density of each colour is multiplied by up to 1 +- this")
    swap_style: float = Field(0.5, ge=0, le=1, description="share of crops that take the colours of another set")
    estimate: float = Field(0.15, description="largest error of the estimate of light and staining")
    blur_um: float = Field(0.3, ge=0, description="largest sigma")
    sharpen: float = Field(0.0, ge=0, le=1, description="share of crops that are sharpened, noise included")
    noise: float = Field(0.015, ge=0, description="largest standard deviation")
    jpeg: float = Field(0.4, ge=0, le=1, description="share of crops that are compressed once more")


class TrainingSettings(_Section):
    """Everything that decides the weights."""

    seed: int = 0
    widths: tuple[int, int, int, int] = (32, 64, 96, 160)
    steps: int = Field(4200, gt=0)
    batch: int = Field(16, gt=0)
    crop_px: int = Field(160, gt=0, multiple_of=16)
    learning_rate: float = Field(2.5e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    warm_up: int = Field(150, ge=0)
    ema: float = Field(0.998, gt=0, lt=1)
    dice: float = 0.7
    distance: float = 2.0
    classes: float = 0.8
    class_balance: float = Field(
        0.3, ge=0, le=1, description="class weights are the frequency to the power of minus this"
    )
    label_smoothing: float = Field(0.05, ge=0, lt=1)
    not_neoplastic: float = Field(
        0.5, ge=0, description="weight of nuclei of which only this is known, relative to neoplastic ones"
    )
    start_share: float = Field(
        0.0, ge=0, lt=1, description="share of the initial weights in the result: averaged, they forget less"
    )
    save_every: int = Field(200, gt=0, description="steps between two checkpoints")
    augment: AugmentSettings = AugmentSettings()
    splits: str | None = Field(
        None, description="CSV of set, group and role, beside the settings; for sets that it does not name, held_out"
    )
    sets: dict[str, SetSettings]

    @classmethod
    def load(cls, path: Path, **direct: object) -> "TrainingSettings":
        """Read YAML; direct arguments that are not None override it.

        What it does not say itself, it takes from the file beside it that its key `base` names.
        """
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        if base := values.pop("base", None):
            values = {**yaml.safe_load(path.with_name(base).read_text(encoding="utf-8")), **values}
        return cls.model_validate({**values, **{key: value for key, value in direct.items() if value is not None}})
