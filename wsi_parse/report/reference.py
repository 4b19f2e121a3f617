"""Reference ranges of nuclear areas: what people outlined in two public data sets, to compare a run with."""

from dataclasses import dataclass

#: Smaller pieces are fragments at the edges of fields.
MIN_AREA_UM2 = 6.0
CONSEP = "CoNSeP (colon adenocarcinoma; Graham et al., Med Image Anal 58 (2019) 101563)"
TNBC = "TNBC (breast carcinoma; Naylor et al., IEEE TMI 38 (2019) 448)"


@dataclass(frozen=True)
class Reference:
    """Areas of nuclei that people outlined, in µm².

    Parameters
    ----------
    source : str
        The data set.
    nuclei : int
        Their number.
    low, median, high : float
        5 %, 50 % and 95 % of the nuclei are smaller.
    """

    source: str
    nuclei: int
    low: float
    median: float
    high: float

    @property
    def sentence(self) -> str:
        """Say what it is."""
        return (
            f"90 % of the {self.nuclei:,} nuclei that people outlined in {self.source} have {self.low:g} to "
            f"{self.high:g} µm², half of them less than {self.median:g} µm²."
        )


#: Name of a prompt -> references. Measured by tests/report/test_reference.py from the outlines at 0.25 µm per pixel.
NUCLEAR_AREAS: dict[str, tuple[Reference, ...]] = {
    "nuclei": (Reference(CONSEP, 13_530, 6.9, 14.7, 50.4), Reference(TNBC, 2_612, 8.2, 20.5, 53.9)),
    "neoplastic cells": (Reference(CONSEP, 4_145, 7.7, 23.8, 66.8),),
    "epithelial cells": (Reference(CONSEP, 1_062, 8.7, 21.4, 45.3),),
    "inflammatory cells": (Reference(CONSEP, 3_462, 6.8, 12.1, 19.4),),
    "connective tissue cells": (Reference(CONSEP, 4_705, 6.6, 13.4, 37.7),),
}
