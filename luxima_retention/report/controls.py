"""Where this report has evidence for the controls that auditors ask about: data, in both languages. Pure.

Sources: ISO/IEC 27001:2022, Annex A; AICPA Trust Services Criteria (SOC 2); UU 27/2022 on personal data,
articles 16 and 42 to 45. What each asks for is told in our own words. Whether a control is met is for the
auditor, and what a law asks for is for a lawyer, to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A control.

    Args:
        cites: framework and number.
        asks: what it asks for.
        found: where its evidence stands in this report, or that it stands elsewhere.
    """

    cites: str
    asks: Mapping[str, str]
    found: Mapping[str, str]


CONTROLS = (
    Control(
        cites="ISO/IEC 27001:2022, A.5.33",
        asks={
            "id": "Rekaman dilindungi dari kehilangan, perusakan, pemalsuan, dan akses tanpa izin.",
            "en": "Records are protected from loss, destruction, falsification and unauthorised access.",
        },
        found={
            "id": "Buku besar (halaman pertama); E: pengaman; F: penahanan; G: arsip dan uji pemulihan."
            " Hak akses: di luar laporan ini.",
            "en": "Ledger (page one); E: guards; F: holds; G: archives and restore tests."
            " Access rights: not in this report.",
        },
    ),
    Control(
        cites="ISO/IEC 27001:2022, A.8.10",
        asks={
            "id": "Informasi yang tidak lagi diperlukan dihapus.",
            "en": "Information that is no longer required is deleted.",
        },
        found={
            "id": "Matriks (halaman pertama); C: eksekusi; D: pemusnahan; berita acara dan daftar pertelaan.",
            "en": "Matrix (page one); C: runs; D: destruction; minutes and itemised list.",
        },
    ),
    Control(
        cites="SOC 2, CC6.5",
        asks={
            "id": "Perlindungan atas aset baru dilepas setelah data tidak dapat lagi dibaca atau dipulihkan.",
            "en": "Assets lose their protection only once data on them can no longer be read or recovered.",
        },
        found={
            "id": "D: pemusnahan logis; berita acara: salinan yang tersisa. Media fisik: di luar laporan"
            " ini.",
            "en": "D: logical destruction; minutes: copies that remain. Physical media: not in this report.",
        },
    ),
    Control(
        cites="SOC 2, C1.2",
        asks={
            "id": "Informasi rahasia dimusnahkan sesuai dengan tujuan entitas.",
            "en": "Confidential information is disposed of as the entity's objectives ask.",
        },
        found={
            "id": "Matriks; A: pengecualian; C: eksekusi; D: pemusnahan; I: kueri dan jumlah.",
            "en": "Matrix; A: exceptions; C: runs; D: destruction; I: queries and counts.",
        },
    ),
    Control(
        cites="UU 27/2022 (PDP), 16(2)",
        asks={
            "id": "Data pribadi dihapus atau dimusnahkan setelah masa retensi berakhir.",
            "en": "Personal data is deleted or destroyed once its period has ended.",
        },
        found={
            "id": "Lewat tenggat (halaman pertama); I: kueri dan jumlah.",
            "en": "Overdue (page one); I: queries and counts.",
        },
    ),
    Control(
        cites="UU 27/2022 (PDP), 42-44",
        asks={
            "id": "Pemrosesan diakhiri saat masa retensi tercapai; data dimusnahkan menurut jadwal retensi.",
            "en": "Processing ends with the period; data is destroyed by the retention schedule.",
        },
        found={
            "id": "D: pemusnahan; G: akhir masa simpan arsip; berita acara.",
            "en": "D: destruction; G: the end of archives; minutes.",
        },
    ),
    Control(
        cites="UU 27/2022 (PDP), 45",
        asks={
            "id": "Subjek data diberi tahu tentang penghapusan atau pemusnahan.",
            "en": "Data subjects are told of the deletion or destruction.",
        },
        found={
            "id": "Di luar laporan ini: dilakukan oleh pengendali data pribadi.",
            "en": "Not in this report: for the controller of personal data to do.",
        },
    ),
)
