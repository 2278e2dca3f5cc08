"""What others wrote, on its way to a terminal."""


def printable(text: str) -> str:
    """`text` with each character that is not printable replaced: ESC gives orders to the terminal, line breaks forge
    lines, bidirectional controls turn words around, and names of files need not be text at all."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
