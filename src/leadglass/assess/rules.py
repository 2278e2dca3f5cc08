"""The kinds of findings, one table: when each is one, what it says, how much it weighs, and which rules it touches.

Severity is the base score of CVSS 4.0, assessed for the PACS as the vulnerable system. Of the environmental metrics one
is used: where altered images reach a diagnosis, harm to people is predictable (Modified Subsequent Integrity: Safety).
Identifiers that open other systems (Social Security numbers) count as subsequent confidentiality.
"""

from collections.abc import Callable
from dataclasses import dataclass

from leadglass.assess import sentences
from leadglass.assess.finding import FindingKind, Severity
from leadglass.assess.observation import ObservationKind, ServiceResult
from leadglass.assess.remedies import Aspect
from leadglass.assess.sentences import Facts, flag, number, text, words

ACCESS = "45 CFR 164.312(a)(1)"
UNIQUE_USER = "45 CFR 164.312(a)(2)(i)"
INTEGRITY = "45 CFR 164.312(c)(1)"
AUTHENTICATION = "45 CFR 164.312(d)"
TRANSMISSION = "45 CFR 164.312(e)(1)"
TRANSMISSION_ENCRYPTION = "45 CFR 164.312(e)(2)(ii)"
RISK_MANAGEMENT = "45 CFR 164.308(a)(1)(ii)(B)"
PASSWORDS = "45 CFR 164.308(a)(5)(ii)(D)"
DISCLOSURE = "45 CFR 164.502(a)"
BREACH = "45 CFR 164.402"


@dataclass(frozen=True, slots=True)
class Rule:
    """`web` names the remedy where the door is a web door, if that differs."""

    kind: FindingKind
    title: str
    severity: Severity
    observed: frozenset[ObservationKind]
    applies: Callable[[ServiceResult, Facts], bool]
    exposure: Callable[[ServiceResult, Facts], str]
    paragraphs: tuple[str, ...]
    aspect: Aspect
    web: Aspect | None = None


def _always(_service: ServiceResult, _facts: Facts) -> bool:
    return True


def _bad_certificate(_service: ServiceResult, facts: Facts) -> bool:
    weak = 0 < number(facts, "bits") < (2048 if text(facts, "key").upper().startswith("RSA") else 256)
    return flag(facts, "expired") or weak or "sha1" in text(facts, "signature").lower()


def _severity(vector: str, score: float) -> Severity:
    return Severity(f"CVSS:4.0/{vector}", score)


_READ_ALL = _severity("AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:N/VA:N/SC:N/SI:N/SA:N", 8.7)
_READ_ELSEWHERE = _severity("AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:N/VA:N/SC:H/SI:N/SA:N", 9.2)
_ALL = _severity("AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 9.3)
_WRITE = _severity("AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:H/VA:L/SC:N/SI:N/SA:N/MSI:S", 9.7)
_WRITE_PERHAPS = _severity("AV:N/AC:L/AT:P/PR:N/UI:N/VC:N/VI:H/VA:L/SC:N/SI:N/SA:N", 8.3)
_READ_SOME = _severity("AV:N/AC:L/AT:N/PR:N/UI:N/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N", 6.9)
_READ_PERHAPS = _severity("AV:N/AC:L/AT:P/PR:N/UI:N/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N", 6.3)
_REACH_IN = _severity("AV:N/AC:L/AT:P/PR:N/UI:N/VC:L/VI:L/VA:N/SC:N/SI:N/SA:N", 6.3)
_OVERHEAR = _severity("AV:A/AC:L/AT:P/PR:N/UI:N/VC:H/VI:H/VA:N/SC:N/SI:N/SA:N", 7.6)
_OVERHEAR_PEOPLE = _severity("AV:A/AC:L/AT:P/PR:N/UI:P/VC:H/VI:H/VA:N/SC:N/SI:N/SA:N", 7.4)
_BREAK_TLS = _severity("AV:A/AC:H/AT:P/PR:N/UI:N/VC:L/VI:L/VA:N/SC:N/SI:N/SA:N", 2.3)
_POSE = _severity("AV:A/AC:H/AT:P/PR:N/UI:P/VC:L/VI:L/VA:N/SC:N/SI:N/SA:N", 2.1)
_NOTE = _severity("AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:N/SC:N/SI:N/SA:N", 0.0)

_K = ObservationKind

RULES: tuple[Rule, ...] = (
    Rule(
        FindingKind.IMAGES_RETRIEVABLE,
        "Images can be downloaded by anyone",
        _READ_ALL,
        frozenset({_K.DIMSE_RETRIEVE, _K.WEB_RETRIEVE, _K.WEB_LISTING, _K.FTP_LISTING}),
        lambda _, facts: number(facts, "proven") > 0,
        sentences.images_retrievable,
        (ACCESS, AUTHENTICATION, DISCLOSURE, BREACH),
        Aspect.READ_DIMSE,
        Aspect.READ_WEB,
    ),
    Rule(
        FindingKind.RECORDS_LISTED,
        "Patient records can be listed by anyone",
        _READ_ALL,
        frozenset({_K.DIMSE_QUERY, _K.WEB_QUERY}),
        lambda service, facts: number(facts, "answers") > 0 and service.counters.studies.value > 0,
        sentences.records_listed,
        (ACCESS, AUTHENTICATION, DISCLOSURE, BREACH),
        Aspect.READ_DIMSE,
        Aspect.READ_WEB,
    ),
    Rule(
        FindingKind.SSNS_EXPOSED,
        "Social Security numbers can be read by anyone",
        _READ_ELSEWHERE,
        frozenset({_K.DIMSE_QUERY, _K.WEB_QUERY}),
        lambda service, _: service.counters.ssns_formatted.value > 0,
        sentences.ssns_exposed,
        (ACCESS, AUTHENTICATION, DISCLOSURE, BREACH),
        Aspect.READ_DIMSE,
        Aspect.READ_WEB,
    ),
    Rule(
        FindingKind.POSSIBLE_SSNS_EXPOSED,
        "Numbers that may be Social Security numbers can be read by anyone",
        _READ_ALL,
        frozenset({_K.DIMSE_QUERY, _K.WEB_QUERY}),
        lambda service, _: service.counters.ssns_bare.value > 0,
        sentences.possible_ssns_exposed,
        (ACCESS, AUTHENTICATION, DISCLOSURE, BREACH),
        Aspect.READ_DIMSE,
        Aspect.READ_WEB,
    ),
    Rule(
        FindingKind.QUERY_OPEN,
        "Queries are answered for anyone",
        _READ_SOME,
        frozenset({_K.DIMSE_QUERY, _K.WEB_QUERY}),
        lambda _, facts: number(facts, "answers") == 0,
        lambda *_: "Anyone who reaches this port may query; it answered that it holds nothing today.",
        (ACCESS, AUTHENTICATION),
        Aspect.READ_DIMSE,
        Aspect.READ_WEB,
    ),
    Rule(
        FindingKind.RETRIEVE_INDICATED,
        "Retrieval is offered to anyone",
        _READ_PERHAPS,
        frozenset({_K.DIMSE_RETRIEVE}),
        lambda _, facts: number(facts, "proven") == 0,
        lambda _, facts: (
            "Anyone who reaches this port is offered to retrieve images; none of "
            f"{number(facts, 'tried'):,} that were asked for began to arrive."
        ),
        (ACCESS, AUTHENTICATION),
        Aspect.READ_DIMSE,
    ),
    Rule(
        FindingKind.MOVE_INDICATED,
        "Sending images elsewhere is offered to anyone",
        _READ_PERHAPS,
        frozenset({_K.DIMSE_MOVE_INDICATED}),
        _always,
        lambda *_: (
            "Anyone who reaches this port may ask that images be sent to a destination that it knows; it was not tried."
        ),
        (ACCESS, AUTHENTICATION),
        Aspect.READ_DIMSE,
    ),
    Rule(
        FindingKind.WRITE_CONFIRMED,
        "Images can be planted by anyone",
        _WRITE,
        frozenset({_K.DIMSE_STORE_CONFIRMED, _K.WEB_STORE_CONFIRMED}),
        _always,
        sentences.write_confirmed,
        (ACCESS, INTEGRITY, AUTHENTICATION),
        Aspect.WRITE_DIMSE,
        Aspect.WRITE_WEB,
    ),
    Rule(
        FindingKind.WRITE_INDICATED,
        "Storing is offered to anyone",
        _WRITE_PERHAPS,
        frozenset({_K.DIMSE_STORE_INDICATED, _K.WEB_STORE_INDICATED}),
        _always,
        sentences.write_indicated,
        (ACCESS, INTEGRITY, AUTHENTICATION),
        Aspect.WRITE_DIMSE,
        Aspect.WRITE_WEB,
    ),
    Rule(
        FindingKind.ADMINISTRATION_OPEN,
        "The administrative interface is open to anyone",
        _ALL,
        frozenset({_K.WEB_SERVICE}),
        lambda _, facts: flag(facts, "administration"),
        lambda service, facts: (
            f"Anyone who reaches this port holds the administrative interface of {service.product or 'this server'} at "
            f"{text(facts, 'root') or '/'}: it reads, changes and deletes whatever is stored."
        ),
        (ACCESS, INTEGRITY, AUTHENTICATION, DISCLOSURE),
        Aspect.WRITE_WEB,
    ),
    Rule(
        FindingKind.DEFAULT_CREDENTIALS,
        "The vendor's default password works",
        _ALL,
        frozenset({_K.DEFAULT_CREDENTIALS}),
        lambda _, facts: flag(facts, "accepted"),
        lambda service, facts: (
            f"Anyone who has read the manual of {service.product or 'this product'} can sign in as "
            f"“{text(facts, 'user')}” with the password that it is delivered with."
        ),
        (UNIQUE_USER, AUTHENTICATION, PASSWORDS),
        Aspect.CREDENTIALS,
    ),
    Rule(
        FindingKind.FILES_LISTED,
        "DICOM files lie in an open listing",
        _READ_ALL,
        frozenset({_K.WEB_LISTING, _K.FTP_LISTING}),
        lambda _, facts: number(facts, "dicom_files") > 0,
        sentences.files_listed,
        (ACCESS, AUTHENTICATION, DISCLOSURE, BREACH),
        Aspect.FILES,
    ),
    Rule(
        FindingKind.FTP_ANONYMOUS,
        "Anonymous login to FTP",
        _READ_SOME,
        frozenset({_K.FTP_ANONYMOUS}),
        _always,
        lambda *_: "Anyone who reaches this port can sign in as “anonymous”, without encryption, and read.",
        (ACCESS, AUTHENTICATION, TRANSMISSION),
        Aspect.FTP,
    ),
    Rule(
        FindingKind.ARCHIVE_PAGE_OPEN,
        "An archive's pages are served to anyone",
        _READ_SOME,
        frozenset({_K.WEB_SERVICE}),
        lambda _, facts: text(facts, "interface") in ("search", "administration") and text(facts, "access") == "open",
        sentences.archive_page_open,
        (ACCESS, AUTHENTICATION),
        Aspect.READ_WEB,
    ),
    Rule(
        FindingKind.VIEWER_OPEN,
        "An image viewer is served to anyone",
        # Most viewers are pages that anybody may load: what they can show is what the archive behind them gives.
        _NOTE,
        frozenset({_K.WEB_SERVICE}),
        lambda _, facts: flag(facts, "viewer") and text(facts, "access") == "open",
        sentences.viewer_open,
        (),
        Aspect.READ_WEB,
    ),
    Rule(
        FindingKind.WADO_URI_OPEN,
        "WADO-URI answers anyone",
        _READ_PERHAPS,
        frozenset({_K.WEB_SERVICE}),
        lambda _, facts: text(facts, "interface") == "wado-uri" and text(facts, "access") == "open",
        lambda *_: "Anyone who knows an image's UIDs, from a report or a link, may ask for it without a login.",
        (ACCESS, AUTHENTICATION),
        Aspect.READ_WEB,
    ),
    Rule(
        FindingKind.ASSOCIATION_OPEN,
        "DICOM associations are accepted from anyone",
        _READ_SOME,
        frozenset({_K.DIMSE_ACCEPTED}),
        _always,
        sentences.association_open,
        (ACCESS, AUTHENTICATION),
        Aspect.READ_DIMSE,
    ),
    Rule(
        FindingKind.CLIENT_CERTIFICATE_NOT_DEMANDED,
        "DICOM over TLS asks for no certificate",
        _REACH_IN,
        frozenset({_K.TLS_CLIENT_CERTIFICATE}),
        lambda service, facts: service.protocol == "dicom-tls" and text(facts, "demanded") != "yes",
        lambda *_: "Anyone can complete the TLS handshake: it hides the conversation, but does not say who is talking.",
        (AUTHENTICATION,),
        Aspect.TLS_DIMSE,
    ),
    Rule(
        FindingKind.DICOM_IN_PLAINTEXT,
        "DICOM is spoken without encryption",
        _OVERHEAR,
        frozenset({_K.DIMSE_ACCEPTED, _K.DIMSE_REJECTED}),
        lambda _, facts: text(facts, "tls") == "none",
        lambda *_: "Anyone on the path can read images and patients' data as they pass, and alter them.",
        (TRANSMISSION, TRANSMISSION_ENCRYPTION, INTEGRITY),
        Aspect.TLS_DIMSE,
    ),
    Rule(
        FindingKind.WEB_IN_PLAINTEXT,
        "A medical web service is offered without encryption",
        _OVERHEAR_PEOPLE,
        frozenset({_K.WEB_PLAINTEXT}),
        _always,
        lambda *_: "Anyone on the path can read patients' data and passwords as they pass, and alter them.",
        (TRANSMISSION, TRANSMISSION_ENCRYPTION),
        Aspect.TLS_WEB,
    ),
    Rule(
        FindingKind.TLS_WEAK,
        "Outdated encryption is accepted",
        _BREAK_TLS,
        frozenset({_K.TLS_VERSIONS}),
        lambda _, facts: bool(words(facts, "weak_versions") or words(facts, "weak_ciphers")),
        sentences.tls_weak,
        (TRANSMISSION, TRANSMISSION_ENCRYPTION),
        Aspect.TLS_STRENGTH,
    ),
    Rule(
        FindingKind.CERTIFICATE_INVALID,
        "The server's certificate does not hold",
        _POSE,
        frozenset({_K.TLS_CERTIFICATE}),
        _bad_certificate,
        sentences.certificate_invalid,
        (TRANSMISSION, AUTHENTICATION),
        Aspect.CERTIFICATE,
    ),
    Rule(
        FindingKind.USER_IDENTITY_IGNORED,
        "User identity is negotiated and ignored",
        _NOTE,
        frozenset({_K.USER_IDENTITY}),
        lambda _, facts: text(facts, "outcome") == "ignored",
        lambda *_: "A made-up user was accepted without a word: user identity (PS3.7 D.3.3.7) protects nothing here.",
        (AUTHENTICATION,),
        Aspect.READ_DIMSE,
    ),
    Rule(
        FindingKind.HONEYPOT_SUSPECTED,
        "Signs of a honeypot",
        _NOTE,
        frozenset({_K.HONEYPOT}),
        _always,
        lambda _, facts: (
            f"What this port tells may be made up ({sentences.listed(words(facts, 'signs'))}); "
            "read its numbers with that in mind."
        ),
        (),
        Aspect.NONE,
    ),
)
