"""Answers to wrong requests that only the web has (RFC 9110 15.5)."""

from leadglass.errors import LeadglassError, UsageError


class NotAcceptable(LeadglassError):
    http_status = 406


class ContentTooLarge(LeadglassError):
    http_status = 413


class UnsupportedMediaType(LeadglassError):
    http_status = 415


class RangeNotSatisfiable(UsageError):
    """`length`: bytes that there are, which the answer tells (RFC 9110 14.4)."""

    http_status = 416

    def __init__(self, length: int) -> None:
        super().__init__("The range lies outside the value.", "Ask for the metadata.")
        self.length = length
