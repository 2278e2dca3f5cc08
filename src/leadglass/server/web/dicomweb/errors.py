"""Answers to wrong requests that only the web has (RFC 9110 15.5)."""

from leadglass.errors import LeadglassError, UsageError


class NotAcceptable(LeadglassError):
    http_status = 406


class ContentTooLarge(LeadglassError):
    http_status = 413


class UnsupportedMediaType(LeadglassError):
    http_status = 415


class RangeNotSatisfiable(UsageError):
    http_status = 416
