"""Made-up studies for the index benchmarks, written through the Transaction API as the archive does."""

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass

from leadglass.dicom import tags
from leadglass.index.attributes import series_from, study_from
from leadglass.index.rows import InstanceState, NewInstance
from leadglass.index.transaction import Transaction

GIVEN = ("Anna", "Bernd", "Chloé", "Dieter", "Elif", "François", "Grace", "Hanna", "Ivan", "Jürgen", "Kofi", "Lúcia")
SYLLABLES = (
    *("mar", "tin", "ber", "ger", "son", "lin", "phan", "tom"),
    *("rod", "ri", "guez", "ka", "wa", "ste", "ven"),
)
DESCRIPTIONS = ("CT Thorax mit KM", "MR Schädel nativ", "CR Thorax p.a.", "US Abdomen", "CT Abdomen/Becken", "MG bds.")
MODALITIES = ("CT", "MR", "CR", "US", "CT", "MG")
SOP_CLASS = "1.2.840.10008.5.1.4.1.1.2"
SYNTAX = "1.2.840.10008.1.2.1"


@dataclass(frozen=True, slots=True)
class Shape:
    """How many series a study has, and instances a series."""

    series: int
    instances: int


class Corpus:
    """The same for the same seed, except for object ids and digests."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._offset = 40

    def uid(self) -> str:
        """50 to 64 characters, most of them random."""
        digits = self._random.randint(50, 64) - 14
        return "1.2.826.0.1.3." + str(self._random.randrange(10 ** (digits - 1), 10**digits))

    def name(self) -> str:
        family = "".join(self._random.choices(SYLLABLES, k=self._random.randint(2, 4))).capitalize()
        return f"{family}^{self._random.choice(GIVEN)}"

    def date(self, year: int) -> str:
        return f"{year}{self._random.randint(1, 12):02}{self._random.randint(1, 28):02}"

    def study(self, number: int) -> dict[int, str]:
        chance = self._random
        kind = chance.randrange(len(MODALITIES))
        return {
            tags.PATIENT_ID: f"{number * 2 // 3:08}",  # three studies for two patients
            tags.PATIENT_NAME: self.name(),
            tags.PATIENT_BIRTH_DATE: self.date(chance.randint(1930, 2020)),
            tags.PATIENT_SEX: chance.choice("MF"),
            tags.STUDY_DATE: self.date(2010 + number % 15),
            tags.STUDY_TIME: f"{chance.randint(0, 23):02}{chance.randint(0, 59):02}{chance.randint(0, 59):02}",
            tags.ACCESSION_NUMBER: f"A{number:09}",
            tags.STUDY_ID: str(number),
            tags.STUDY_DESCRIPTION: DESCRIPTIONS[kind],
            tags.REFERRING_PHYSICIAN_NAME: f"{chance.choice(SYLLABLES)}{chance.choice(SYLLABLES)}^Dr".capitalize(),
            tags.MODALITY: MODALITIES[kind],
            tags.BODY_PART_EXAMINED: "CHEST",
            tags.MANUFACTURER: "ACME Imaging",
            tags.MANUFACTURER_MODEL_NAME: "Scanner 3000",
            tags.STATION_NAME: f"ROOM{kind}",
            tags.INSTITUTION_NAME: "General Hospital",
            tags.PATIENT_POSITION: "HFS",
            tags.FRAME_OF_REFERENCE_UID: self.uid(),
            tags.PROTOCOL_NAME: "Standard",
            tags.PATIENT_AGE: "045Y",
        }

    def add_study(self, tx: Transaction, attributes: dict[int, str]) -> int:
        return tx.add_study(
            study_from(attributes),
            uid=self.uid(),
            owner=True,
            patient_key=tx.patient(attributes[tags.PATIENT_ID], "HOSP"),
            site="default",
            wrapped_key=os.urandom(72),
            log_salt=os.urandom(60),
        )

    def add_series(self, tx: Transaction, study: int, number: int, attributes: dict[int, str]) -> int:
        described = {
            **attributes,
            tags.SERIES_NUMBER: str(number),
            tags.SERIES_DESCRIPTION: f"Axial {number} mm",
            tags.SERIES_DATE: attributes[tags.STUDY_DATE],
            tags.SERIES_TIME: attributes[tags.STUDY_TIME],
        }
        return tx.add_series(study, series_from(described), uid=self.uid())

    def instance(self, series: int, number: int) -> NewInstance:
        length = 527_000 + self._random.randrange(2_000)
        start = self._offset
        self._offset += length
        return NewInstance(
            uid=self.uid(),
            series_id=series,
            state=InstanceState.VISIBLE,
            pack=1 + start // 2**30,
            offset=start % 2**30,
            length=length,
            object_id=os.urandom(16),
            plain_length=length - 1_100,
            digest=os.urandom(32),
            sop_class=SOP_CLASS,
            transfer_syntax=SYNTAX,
            number=number,
            rows=512,
            columns=512,
            bits_allocated=16,
            frames=None,
            extra={},
        )


def in_batches(count: int, size: int) -> Iterator[range]:
    for first in range(0, count, size):
        yield range(first, min(first + size, count))
