"""Verification of a model on a machine: weights, tiles, a slide, memory and speed; a JSON and a page to send back."""

from wsi_parse.verification.verification import Verification, verify_and_report

__all__ = ["Verification", "verify_and_report"]
