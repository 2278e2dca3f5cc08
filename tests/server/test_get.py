"""What a C-GET counts, beyond what its responses have room for."""

from leadglass.dicom.uids import STUDY_ROOT_GET
from leadglass.dimse.message import CGetRq, decode_command, encode_command
from leadglass.dimse.status import PENDING, SUBOPERATIONS_WARNING
from leadglass.server.dimse.get import Tally


def test_counts_stay_within_their_16_bits() -> None:
    request = CGetRq(1, STUDY_ROOT_GET)
    tally = Tally(remaining=70_000, completed=80_000, warning=90_000, failed=["2.25.1"] * 100_000)
    for status, remaining in ((PENDING, 0xFFFF), (SUBOPERATIONS_WARNING, None)):
        response = tally.response(request, status)
        assert decode_command(encode_command(response, has_data_set=False)) == (response, False)
        assert response.remaining == remaining
        assert (response.completed, response.warning, response.failed) == (0xFFFF,) * 3
