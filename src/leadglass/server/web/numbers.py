"""Numbers in paths, `{share:number}`: at most as many digits as the index holds. Longer ones lead nowhere: 404."""

from starlette.convertors import IntegerConvertor, register_url_convertor


class Number(IntegerConvertor):
    regex = "[0-9]{1,18}"


def register() -> None:
    """Starlette keeps the kinds of path parameters in one table."""
    register_url_convertor("number", Number())
