"""What a stranger can do, in one sentence with the numbers of that very door; and how facts are read."""

from collections.abc import Iterable, Mapping

from leadglass.assess.observation import Bound, Count, Fact, ServiceResult

Facts = Mapping[str, Fact]


def text(facts: Facts, name: str) -> str:
    value = facts.get(name, "")
    return value if isinstance(value, str) else ""


def number(facts: Facts, name: str) -> int:
    value = facts.get(name, 0)
    return value if isinstance(value, int) else 0


def flag(facts: Facts, name: str) -> bool:
    return facts.get(name) is True


def words(facts: Facts, name: str) -> tuple[str, ...]:
    value = facts.get(name, ())
    return value if isinstance(value, tuple) else (value,) if isinstance(value, str) and value else ()


def amount(count: Count) -> str:
    """A number as one says it: `1,204`, `at least 1,204`, `about 1,204`."""
    before = {Bound.EXACT: "", Bound.LOWER: "at least ", Bound.ESTIMATE: "about "}[count.bound]
    return f"{before}{count.value:,}"


def listed(names: Iterable[str]) -> str:
    each = list(names)
    return each[0] if len(each) == 1 else f"{', '.join(each[:-1])} and {each[-1]}" if each else "nothing"


def images_retrievable(service: ServiceResult, facts: Facts) -> str:
    return (
        f"Anyone who reaches this port can download its images: {number(facts, 'proven'):,} of "
        f"{number(facts, 'tried'):,} picked at random began to arrive, of {amount(service.counters.images_advertised)} "
        "that it lists."
    )


def records_listed(service: ServiceResult, _facts: Facts) -> str:
    held = f", with {listed(service.identifiers)}" if service.identifiers else ""
    return (
        f"Anyone who reaches this port can list {amount(service.counters.studies)} studies of "
        f"{amount(service.counters.patients)} patients{held}."
    )


def ssns_exposed(service: ServiceResult, _facts: Facts) -> str:
    return (
        f"Anyone who reaches this port can read {amount(service.counters.ssns_formatted)} valid Social Security "
        "numbers, enough to take loans in patients' names."
    )


def possible_ssns_exposed(service: ServiceResult, _facts: Facts) -> str:
    return (
        f"Anyone who reaches this port can read {amount(service.counters.ssns_bare)} nine-digit numbers that are valid "
        "as Social Security numbers; they may be other numbers, which only the owner can say."
    )


def write_confirmed(_service: ServiceResult, facts: Facts) -> str:
    rest = "; it was deleted again" if flag(facts, "deleted") else "; it is still there and must be deleted by hand"
    return (
        f"Anyone who reaches this port can put images of their making among a patient's: a labelled test "
        f"object was accepted{rest}."
    )


def write_indicated(_service: ServiceResult, facts: Facts) -> str:
    classes = words(facts, "sop_classes")
    kinds = f" ({listed(classes[:4])}{', …' if len(classes) > 4 else ''})" if classes else ""
    return f"Anyone who reaches this port is offered to store objects{kinds}; that it would keep them was not tried."


def association_open(_service: ServiceResult, facts: Facts) -> str:
    if flag(facts, "called_ae_checked") or flag(facts, "calling_ae_checked"):
        return "Anyone who guesses an AE title can open an association: a title is a name, not a password."
    return "Anyone who reaches this port can open a DICOM association under any AE title and go on from there."


def archive_page_open(service: ServiceResult, facts: Facts) -> str:
    name, where = service.product or "an archive", text(facts, "root") or "/"
    return f"Anyone who reaches this port is served the pages of {name} at {where} without a login."


def viewer_open(service: ServiceResult, facts: Facts) -> str:
    name, where = service.product or "A web viewer", text(facts, "root") or "/"
    return (
        f"{name} at {where} loads without a login; whether it shows a stranger anything is told by the findings at the "
        "archive behind it."
    )


def files_listed(_service: ServiceResult, facts: Facts) -> str:
    most = "at least " if flag(facts, "capped") else ""
    return (
        f"Anyone with a browser can walk a listing of {most}{number(facts, 'files'):,} files, of which "
        f"{most}{number(facts, 'dicom_files'):,} are named or answer as DICOM."
    )


def certificate_invalid(_service: ServiceResult, facts: Facts) -> str:
    wrong = "has expired" if flag(facts, "expired") else "is too weak to be believed"
    return f"The certificate {wrong}: peers learn to ignore warnings, and somebody between can pose as this server."


def tls_weak(_service: ServiceResult, facts: Facts) -> str:
    weak = listed((*words(facts, "weak_versions"), *words(facts, "weak_ciphers")))
    return f"Somebody between can attack connections that agree on {weak}."
