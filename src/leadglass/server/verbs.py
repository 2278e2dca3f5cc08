"""The verbs that the command line may ask for, by name: JSON in, JSON out, each one call into the archive."""

import dataclasses
import os
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from leadglass.archive import quarantine
from leadglass.archive import review as reviewing
from leadglass.archive.archive import Archive
from leadglass.archive.authorise import authorise
from leadglass.archive.comparison import comparing
from leadglass.archive.decoding import Decoding
from leadglass.archive.devices import Credential, Enrolment, described
from leadglass.archive.diagnosis import device_events, diagnose
from leadglass.archive.fsck import fsck
from leadglass.archive.importing import import_file
from leadglass.archive.reinspection import Request, reinspect
from leadglass.archive.tokens import TokenRequest, token_described
from leadglass.archive.users import NewUser, user_described
from leadglass.crypto.certificates import parse_certificate
from leadglass.model import Operation, Principal
from leadglass.pixels.limits import DecoderLimits
from leadglass.pixels.pool import DecoderPool


@dataclass(frozen=True, slots=True)
class Call:
    """One request: who, with what parameters and open files (descriptors that stay the caller's)."""

    archive: Archive
    principal: Principal
    params: dict[str, Any]
    files: tuple[int, ...]
    progress: Callable[[int, int], None]


def _device_add(call: Call) -> None:
    params = call.params
    device = Enrolment(
        name=params["name"],
        site=params["site"],
        roles=tuple(params["roles"]),
        aets=tuple(params["aets"]),
        issuer=params["issuer"],
        person=params["person"],
        may_revise=params["may_revise"],
        private_sop_classes=tuple(params["private_sop_classes"]),
        destination=params["destination"],
    )
    call.archive.registry.add(call.principal, device, _credential(params))


def _device_renew(call: Call) -> None:
    call.archive.registry.renew(call.principal, call.params["name"], _credential(call.params))


def _device_disable(call: Call) -> None:
    call.archive.registry.disable(call.principal, call.params["name"])


def _device_enable(call: Call) -> None:
    call.archive.registry.enable(call.principal, call.params["name"])


def _device_list(call: Call) -> list[dict[str, Any]]:
    authorise(call.principal, Operation.ADMINISTER)
    return [described(device) for device in call.archive.registry.book.devices.values()]


def _device_show(call: Call) -> dict[str, Any]:
    authorise(call.principal, Operation.ADMINISTER)
    return described(call.archive.registry.device(call.params["name"]))


def _device_log(call: Call) -> list[dict[str, Any]]:
    return device_events(call.archive, call.principal, call.params["name"], call.params["limit"])


def _device_test(call: Call) -> dict[str, Any]:
    return dataclasses.asdict(diagnose(call.archive, call.principal, call.params["name"]))


def _user_add(call: Call) -> tuple[str, int]:
    """The link's secret, empty where there is none, and the port that the link leads to."""
    params = call.params
    user = NewUser(params["name"], tuple(params["roles"]), params["site"], params["person"])
    secret = call.archive.enrolments.add(call.principal, user, params["password"], waits=params["waits"])
    return secret, call.archive.https_port


def _user_reset(call: Call) -> tuple[str, int]:
    return call.archive.enrolments.reset(call.principal, call.params["name"]), call.archive.https_port


def _user_list(call: Call) -> list[dict[str, Any]]:
    authorise(call.principal, Operation.ADMINISTER)
    passkeys = call.archive.passkeys.counts()
    return [user_described(each, passkeys.get(each.id, 0)) for each in call.archive.users.book.by_name.values()]


def _user_disable(call: Call) -> None:
    call.archive.users.disable(call.principal, call.params["name"])


def _token_create(call: Call) -> str:
    params = call.params
    request = TokenRequest(
        user=params["user"],
        life_us=params["life_us"],
        role=params["role"],
        operations=tuple(params["operations"]) or None,
        patients=tuple((patient, issuer) for patient, issuer in params["patients"]) or None,
    )
    return call.archive.tokens.create(call.principal, request)


def _token_list(call: Call) -> list[dict[str, Any]]:
    book = call.archive.users.book
    return [token_described(row, book.by_id[row.account_id]) for row in call.archive.tokens.listed(call.principal)]


def _token_revoke(call: Call) -> None:
    call.archive.tokens.revoke(call.principal, call.params["name"])


def _import(call: Call) -> list[dict[str, Any]]:
    results = []
    for descriptor in call.files:
        with os.fdopen(os.dup(descriptor), "rb", buffering=0) as file:
            imported = import_file(
                call.archive, call.principal, file, issuer=call.params["issuer"], site=call.params["site"]
            )
        results.append(dataclasses.asdict(imported))
    return results


def _fsck(call: Call) -> dict[str, Any]:
    return dataclasses.asdict(fsck(call.archive, call.principal, deep=call.params["deep"], progress=call.progress))


def _reinspect(call: Call) -> dict[str, Any]:
    params = call.params
    request = Request(params["report_only"], params["rate"], params["anew"])
    return dataclasses.asdict(reinspect(call.archive, call.principal, request, call.progress))


def _review_list(call: Call) -> list[dict[str, Any]]:
    rows = reviewing.reviews(call.archive, call.principal, call.params["state"])
    return [{**dataclasses.asdict(row), "what": reviewing.REASONS[row.reason]} for row in rows]


def _review_show(call: Call) -> dict[str, Any]:
    return dataclasses.asdict(reviewing.review(call.archive, call.principal, call.params["id"]))


def _review_compare(call: Call) -> dict[str, Any]:
    """Decoders of its own: those of the web door, if there is one, are for who looks at images."""
    pool = DecoderPool(DecoderLimits(workers=1))
    try:
        with comparing(call.archive, call.principal, call.params["id"]) as comparison:
            return dataclasses.asdict(comparison.found(Decoding(pool, call.archive.limits)))
    finally:
        pool.close()


def _review_accept(call: Call) -> None:
    reviewing.accept(call.archive, call.principal, call.params["id"])


def _review_reject(call: Call) -> None:
    reviewing.reject(call.archive, call.principal, call.params["id"])


def _quarantine_list(call: Call) -> list[dict[str, Any]]:
    rows = quarantine.quarantined(call.archive, call.principal, call.params["state"])
    return [quarantine.described(row) for row in rows]


def _quarantine_show(call: Call) -> dict[str, Any]:
    return quarantine.described(quarantine.quarantine_row(call.archive, call.principal, call.params["id"]))


def _quarantine_release(call: Call) -> None:
    quarantine.release(call.archive, call.principal, call.params["id"])


def _quarantine_destroy(call: Call) -> None:
    quarantine.destroy(call.archive, call.principal, call.params["id"])


VERBS: dict[str, Callable[[Call], Any]] = {
    "device-add": _device_add,
    "device-renew": _device_renew,
    "device-disable": _device_disable,
    "device-enable": _device_enable,
    "device-list": _device_list,
    "device-show": _device_show,
    "device-log": _device_log,
    "device-test": _device_test,
    "user-add": _user_add,
    "user-list": _user_list,
    "user-disable": _user_disable,
    "user-reset": _user_reset,
    "token-create": _token_create,
    "token-list": _token_list,
    "token-revoke": _token_revoke,
    "import": _import,
    "fsck": _fsck,
    "quarantine-list": _quarantine_list,
    "quarantine-show": _quarantine_show,
    "quarantine-release": _quarantine_release,
    "quarantine-destroy": _quarantine_destroy,
    "reinspect": _reinspect,
    "review-list": _review_list,
    "review-show": _review_show,
    "review-compare": _review_compare,
    "review-accept": _review_accept,
    "review-reject": _review_reject,
}


def _credential(params: dict[str, Any]) -> Credential:
    certificate = parse_certificate(b64decode(params["certificate"]))
    anchor = parse_certificate(b64decode(params["anchor"])).der if params["anchor"] else None
    return Credential(certificate, anchor)
