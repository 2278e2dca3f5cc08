"""Kinds of parameters in paths. What is none of its kind leads nowhere: 404."""

from starlette.convertors import Convertor, IntegerConvertor, register_url_convertor


class Number(IntegerConvertor):
    """`{share:number}`: at most as many digits as the index holds."""

    regex = "[0-9]{1,18}"


class UidText(Convertor[str]):
    """`{study:uid}`: one UID (PS3.5 9.1), neither a list of them nor a wildcard, which a query would take."""

    regex = "[0-9.]{1,64}"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


def register() -> None:
    """Starlette keeps the kinds of path parameters in one table."""
    register_url_convertor("number", Number())
    register_url_convertor("uid", UidText())
