"""Values of data sets in words for people: names, dates, ages, sizes. Unknown things are empty, never guessed."""

from datetime import UTC, date, datetime

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def person_name(text: str) -> str:
    """`Family, Given Middle` of a person name, its alphabetic form if there is one (PS3.5 6.2.1)."""
    group = next((each for each in text.split("\\")[0].split("=") if each.strip("^ ")), "")
    family, given, middle, prefix, suffix = (part.strip() for part in (*group.split("^"), "", "", "", "", "")[:5])
    first = " ".join(part for part in (prefix, given, middle) if part)
    named = ", ".join(part for part in (family, first) if part)
    return f"{named} {suffix}".strip()


def plain_date(text: str) -> str:
    """`2025-01-31` of a DA value; as it stands when it is none."""
    try:
        return datetime.strptime(text, "%Y%m%d").date().isoformat()
    except ValueError:
        return text


def plain_time(text: str) -> str:
    """`14:05` of a TM value; as it stands when it is none."""
    digits = text.split(".")[0]
    return f"{digits[:2]}:{digits[2:4]}" if digits.isdigit() and len(digits) >= 4 else text


def sex(text: str) -> str:
    return {"F": "female", "M": "male", "O": "other"}.get(text, text)


def age(born: str, on: str) -> str:
    """In years at the day of the study; empty unless both dates are known."""
    try:
        start, end = date.fromisoformat(born), date.fromisoformat(on)
    except ValueError:
        return ""
    years = end.year - start.year - ((end.month, end.day) < (start.month, start.day))
    return f"{years} y" if 0 <= years <= 150 else ""


def values(text: str) -> tuple[str, ...]:
    """The several values of an element, sorted."""
    return tuple(sorted(value for value in text.split("\\") if value))


def size(octets: int) -> str:
    scaled, unit = float(octets), _UNITS[0]
    for unit in _UNITS:
        if scaled < 1000 or unit == _UNITS[-1]:
            break
        scaled /= 1000
    return f"{octets} bytes" if unit == _UNITS[0] else f"{scaled:.3g} {unit}"


def moment(time_us: int) -> str:
    """A moment to the minute, in UTC as the log has it."""
    return f"{datetime.fromtimestamp(time_us / 1_000_000, UTC):%Y-%m-%d %H:%M} UTC"


def day(time_us: int) -> str:
    return f"{datetime.fromtimestamp(time_us / 1_000_000, UTC):%Y-%m-%d}"
