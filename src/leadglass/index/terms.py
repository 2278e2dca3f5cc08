"""Numbers for texts that repeat by the million."""

from typing import Any


class Terms:
    """SOP classes, transfer syntaxes, actions, principals: one number each."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}

    def of(self, cursor: Any, text: str) -> int:
        known = self._ids.get(text)
        if known is None:
            cursor.execute("INSERT INTO term (text) VALUES (?) ON CONFLICT DO NOTHING", (text,))
            known = int(cursor.execute("SELECT id FROM term WHERE text = ?", (text,)).fetchone()[0])
            self._ids[text] = known
        return known

    def forget(self) -> None:
        """After a rollback some of the numbers may not exist."""
        self._ids.clear()
