"""The doctor: whether what a run needs is there and works on this machine, and how to mend what does not."""

from wsi_parse.doctor.diagnosis import Diagnosis, diagnose
from wsi_parse.doctor.finding import Finding, Status

__all__ = ["Diagnosis", "Finding", "Status", "diagnose"]
