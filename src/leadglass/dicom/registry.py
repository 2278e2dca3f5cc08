"""The tables of PS3.6, as pydicom packages them, read without importing pydicom itself.

Importing the package costs 130-290 ms and tens of megabytes (it pulls in its pixel decoders); its two tables of plain
data cost 20 ms. The lock pins pydicom's version, and the tests compare this with pydicom's own look-up.
"""

from collections.abc import Mapping
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from leadglass.errors import NotAvailable

#: VR, value multiplicity, name, "Retired" or "", keyword.
Entry = tuple[str, str, str, str, str]


def _table(name: str) -> ModuleType:
    package = find_spec("pydicom")
    for folder in (package and package.submodule_search_locations) or ():
        spec = spec_from_file_location(f"leadglass.dicom.registry.{name}", Path(folder, f"{name}.py"))
        if spec is not None and spec.loader is not None:
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    raise NotAvailable("The data dictionary of pydicom is missing.", "Run make install.")


def data_elements() -> tuple[Mapping[int, Entry], Mapping[str, Entry]]:
    """PS3.6 6-9: entries by tag, and those of repeating groups by their mask ("60xx3000")."""
    module = _table("_dicom_dict")
    return module.DicomDictionary, module.RepeatersDictionary


def unique_identifiers() -> Mapping[str, Entry]:
    """PS3.6 Annex A: UID → (name, type, info, "Retired" or "", keyword)."""
    uids: Mapping[str, Entry] = _table("_uid_dict").UID_dictionary
    return uids
